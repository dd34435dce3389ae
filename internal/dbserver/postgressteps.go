package dbserver

import (
	"context"
	"fmt"
)

func (p *postgres) fresh(w Want) []string {
	steps := []string{
		fmt.Sprintf("make role %q with the password of the snapshot", w.Location.User),
		fmt.Sprintf("make database %q in encoding %s", w.Location.Name, p.encoding(w)),
		p.letIn(w),
	}
	if len(w.Listen) > 0 {
		steps = append(steps, "have PostgreSQL listen at "+list(w.Listen))
	}
	return steps
}

func (p *postgres) encoding(w Want) string {
	if w.Encoding == "" {
		return "UTF8"
	}
	return w.Encoding
}

func (p *postgres) statements(ctx context.Context, w Want) ([]step, []string, error) {
	steps, err := p.roleSteps(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	more, notes, err := p.databaseSteps(ctx, w)
	return append(steps, more...), notes, err
}

// roleSteps make the role, or give the one that is there its password back.
func (p *postgres) roleSteps(ctx context.Context, w Want) ([]step, error) {
	user, password := w.Location.User, w.Location.Password.Reveal()
	rows, err := p.query(ctx, "", "SELECT rolcanlogin, coalesce(rolpassword, '') FROM pg_authid WHERE rolname = "+pgText(user))
	if err != nil {
		return nil, err
	}
	role := pgName(user)
	verifier, err := scramVerifier(password)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return []step{sqlStep(p, fmt.Sprintf("make role %q with the password of the snapshot", user), "",
			"CREATE ROLE "+role+" LOGIN PASSWORD "+pgText(verifier), "DROP ROLE IF EXISTS "+role)}, nil
	}
	var steps []step
	login, old := rows[0][0], rows[0][1]
	if login != "t" {
		steps = append(steps, sqlStep(p, fmt.Sprintf("let role %q log in", user), "", "ALTER ROLE "+role+" LOGIN", "ALTER ROLE "+role+" NOLOGIN"))
	}
	if !isScramOf(old, password) {
		before := "NULL"
		if old != "" {
			before = pgText(old)
		}
		steps = append(steps, sqlStep(p, fmt.Sprintf("give role %q the password of the snapshot", user), "",
			"ALTER ROLE "+role+" PASSWORD "+pgText(verifier), "ALTER ROLE "+role+" PASSWORD "+before))
	}
	return steps, nil
}

// databaseSteps make the database, or give the role in the one that is there what
// it takes to make tables: since PostgreSQL 15 nobody but the owner may.
func (p *postgres) databaseSteps(ctx context.Context, w Want) (steps []step, notes []string, err error) {
	name, role := pgName(w.Location.Name), pgName(w.Location.User)
	rows, err := p.query(ctx, "", "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datallowconn FROM pg_database WHERE datname = "+pgText(w.Location.Name))
	if err != nil {
		return nil, nil, err
	}
	if len(rows) == 0 {
		provider, err := p.providerClause(ctx)
		if err != nil {
			return nil, nil, err
		}
		// Locale C fits every encoding, whatever that of the machine is.
		create := "CREATE DATABASE " + name + " OWNER " + role + " TEMPLATE template0 ENCODING " + pgText(p.encoding(w)) + " LC_COLLATE 'C' LC_CTYPE 'C'" + provider
		return []step{sqlStep(p, fmt.Sprintf("make database %q in encoding %s", w.Location.Name, p.encoding(w)), "", create, "DROP DATABASE IF EXISTS "+name)}, nil, nil
	}
	owner, encoding := rows[0][0], rows[0][1]
	if rows[0][2] != "t" {
		return nil, nil, fmt.Errorf("database %q: lets nobody in (datallowconn)", w.Location.Name)
	}
	if encoding != p.encoding(w) {
		notes = append(notes, fmt.Sprintf("database %q is there and stays in encoding %s, not %s", w.Location.Name, encoding, p.encoding(w)))
	}
	if owner == w.Location.User {
		return nil, notes, nil
	}
	steps, err = p.grantSteps(ctx, w)
	return steps, append(notes, fmt.Sprintf("database %q belongs to role %q", w.Location.Name, owner)), err
}

// providerClause has the C library sort, where a cluster may have been made with
// another that knows no SQL_ASCII (since 15).
func (p *postgres) providerClause(ctx context.Context) (string, error) {
	rows, err := p.query(ctx, "", "SELECT current_setting('server_version_num')::int >= 150000")
	if err != nil || rows[0][0] != "t" {
		return "", err
	}
	return " LOCALE_PROVIDER libc", nil
}

// grantSteps let the role make tables in a database that is another's. A role that
// is not made yet has no right of its own.
func (p *postgres) grantSteps(ctx context.Context, w Want) ([]step, error) {
	db, user, role := w.Location.Name, w.Location.User, pgName(w.Location.User)
	var steps []step
	rows, err := p.query(ctx, db, "SELECT has_database_privilege(rolname, current_database(), 'CONNECT'), "+
		"has_schema_privilege(rolname, 'public', 'CREATE') AND has_schema_privilege(rolname, 'public', 'USAGE') "+
		"FROM pg_authid WHERE rolname = "+pgText(user))
	if err != nil {
		return nil, err
	}
	made := len(rows) == 0
	if made || rows[0][0] != "t" {
		steps = append(steps, sqlStep(p, fmt.Sprintf("let role %q into database %q", user, db), db,
			"GRANT CONNECT ON DATABASE "+pgName(db)+" TO "+role,
			ifRole(user, "REVOKE CONNECT ON DATABASE "+pgName(db)+" FROM "+role)))
	}
	if made || rows[0][1] != "t" {
		undo := "REVOKE CREATE, USAGE ON SCHEMA public FROM " + role
		if made { // it cannot go while it owns tables, and they are not ours to drop
			undo += "; REASSIGN OWNED BY " + role + " TO CURRENT_USER; DROP OWNED BY " + role
		}
		steps = append(steps, sqlStep(p, fmt.Sprintf("let role %q make tables in database %q", user, db), db,
			"GRANT CREATE, USAGE ON SCHEMA public TO "+role, ifRole(user, undo)))
	}
	return steps, nil
}

// ifRole is a statement that does nothing if the role is not there.
func ifRole(user, sql string) string {
	return "DO " + pgText("BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_authid WHERE rolname = "+pgText(user)+") THEN "+sql+"; END IF; END")
}
