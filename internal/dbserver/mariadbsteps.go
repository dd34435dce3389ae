package dbserver

import (
	"context"
	"fmt"
	"strings"
)

func (m *mariadb) fresh(w Want) []string {
	steps := []string{fmt.Sprintf("make database %q", w.Location.Name)}
	hosts, _ := m.hosts(w)
	for _, h := range hosts {
		steps = append(steps, m.makeUser(w, h))
	}
	if len(w.Listen) > 0 {
		steps = append(steps, "have MariaDB listen at all addresses, as at "+list(w.Listen))
	}
	return steps
}

func (m *mariadb) makeUser(w Want, h string) string {
	return fmt.Sprintf("make user %q at %q with the password of the snapshot", w.Location.User, h)
}

// hosts are the host parts of the accounts that w takes, and remarks on what is no
// host part.
func (m *mariadb) hosts(w Want) (hosts, notes []string) {
	hosts = []string{"localhost"}
	peers, err := w.peers() // checked before
	if err != nil {
		return nil, nil
	}
	for _, p := range peers {
		h, ok := p.mysql()
		if !ok {
			notes = append(notes, fmt.Sprintf("access of %q: MariaDB has no way to say it; name addresses", p))
			continue
		}
		hosts = append(hosts, h)
	}
	return hosts, notes
}

func (m *mariadb) statements(ctx context.Context, w Want) (steps []step, notes []string, err error) {
	mysql, err := m.isMySQL(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows, err := m.query(ctx, "", "SELECT DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = "+mysqlText(w.Location.Name))
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(rows) == 0:
		steps = append(steps, sqlStep(m, fmt.Sprintf("make database %q", w.Location.Name), "",
			"CREATE DATABASE "+mysqlName(w.Location.Name)+" CHARACTER SET utf8mb4", "DROP DATABASE IF EXISTS "+mysqlName(w.Location.Name)))
	case rows[0][0] != "utf8mb4":
		notes = append(notes, fmt.Sprintf("database %q is there and stays in character set %s, not utf8mb4", w.Location.Name, rows[0][0]))
	}
	hosts, more := m.hosts(w)
	for _, h := range hosts {
		user, err := m.userSteps(ctx, w, h, mysql)
		if err != nil {
			return nil, nil, err
		}
		steps = append(steps, user...)
	}
	listen, err := m.listenStep(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	return append(steps, listen...), append(notes, more...), nil
}

func (m *mariadb) isMySQL(ctx context.Context) (bool, error) {
	rows, err := m.query(ctx, "", "SELECT VERSION()")
	if err != nil {
		return false, err
	}
	return !strings.Contains(rows[0][0], "MariaDB"), nil
}

// userSteps make one account, or give the one that is there what it lacks.
func (m *mariadb) userSteps(ctx context.Context, w Want, h string, mysql bool) ([]step, error) {
	account := mysqlText(w.Location.User) + "@" + mysqlText(h)
	hash := mysqlText(nativeHash(w.Location.Password.Reveal()))
	identified := " IDENTIFIED BY PASSWORD " + hash
	if mysql {
		identified = " IDENTIFIED WITH mysql_native_password AS " + hash
	}
	grant := "GRANT ALL PRIVILEGES ON " + mysqlScope(w.Location.Name) + " TO " + account
	rows, err := m.query(ctx, "", "SELECT 1 FROM mysql.user WHERE User = "+mysqlText(w.Location.User)+" AND Host = "+mysqlText(h))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return []step{sqlStep(m, m.makeUser(w, h), "", "CREATE USER "+account+identified+";\n"+grant, "DROP USER IF EXISTS "+account)}, nil
	}
	var steps []step
	now, err := m.showUser(ctx, account, mysql)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(now, hash) {
		steps = append(steps, sqlStep(m, fmt.Sprintf("give user %q at %q the password of the snapshot", w.Location.User, h), "",
			"ALTER USER "+account+identified, "ALTER USER IF EXISTS"+strings.TrimPrefix(now, "CREATE USER")))
	}
	lacks, undo, err := m.rights(ctx, w, account)
	if lacks {
		steps = append(steps, sqlStep(m, fmt.Sprintf("let user %q at %q use database %q", w.Location.User, h, w.Location.Name), "", grant, undo...))
	}
	return steps, err
}

// showUser returns the statement that would make an account as it is: with another
// verb it puts its password back.
func (m *mariadb) showUser(ctx context.Context, account string, mysql bool) (string, error) {
	sql := "SHOW CREATE USER " + account
	if mysql { // its newer passwords are bytes of all sorts
		sql = "SET SESSION print_identified_with_as_hex = ON;\n" + sql
	}
	rows, err := m.query(ctx, "", sql)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || !strings.HasPrefix(rows[0][0], "CREATE USER ") {
		return "", fmt.Errorf("database server: unknown answer to SHOW CREATE USER %s", account)
	}
	return rows[0][0], nil
}

// rights reports whether an account lacks rights in the database, and what gives
// it back those it has. Granting all first makes REVOKE right at any moment.
func (m *mariadb) rights(ctx context.Context, w Want, account string) (lacks bool, undo []string, err error) {
	rows, err := m.query(ctx, "", "SHOW GRANTS FOR "+account)
	if err != nil {
		return false, nil, err
	}
	scope := " ON " + mysqlScope(w.Location.Name) + " TO "
	plain := " ON " + mysqlName(w.Location.Name) + ".* TO "
	undo = []string{
		"GRANT ALL PRIVILEGES" + scope + account,
		"REVOKE ALL PRIVILEGES" + strings.TrimSuffix(scope, " TO ") + " FROM " + account,
	}
	for _, r := range rows {
		switch g := r[0]; {
		case strings.HasPrefix(g, "GRANT ALL PRIVILEGES ON *.* TO "),
			strings.HasPrefix(g, "GRANT ALL PRIVILEGES"+scope), strings.HasPrefix(g, "GRANT ALL PRIVILEGES"+plain):
			return false, nil, nil
		case strings.HasPrefix(g, "GRANT ") && strings.Contains(g, scope):
			undo = append(undo, g)
		}
	}
	return true, undo, nil
}

// files: what MariaDB's take is only known from the server, which has read them
// all: see statements.
func (m *mariadb) files(Want) ([]step, []string, error) { return nil, nil, nil }

// dropInCnf is our file beside the distro's, which the server reads after them.
const dropInCnf = "/zz-xcrate.cnf"

// listenStep has the server listen at all addresses where it does not at one that
// is wanted. A list of addresses is no way: MariaDB knows it since 10.11, and one
// address that is late at boot keeps the server from starting. Who comes in is up
// to the accounts.
func (m *mariadb) listenStep(ctx context.Context, w Want) ([]step, error) {
	ok, err := m.listens(ctx, w)
	if err != nil || ok {
		return nil, err
	}
	file := m.config + dropInCnf
	old, err := m.readOld(file)
	if err != nil {
		return nil, err
	}
	text := "# xcrate: the database of xCAT is used by its service nodes.\n[mysqld]\nskip-networking = OFF\nbind-address = *\n"
	return []step{{
		act:   Act{Kind: ActFile, What: "have MariaDB listen at all addresses (" + file + ")", Name: file, Before: old},
		do:    func(ctx context.Context) error { return m.write(ctx, file, text, 0o644) },
		takes: effectRestart,
	}}, nil
}

// listens reports whether the server would be reached at all of w.Listen. A
// private server has no network, but what is configured shows all the same.
func (m *mariadb) listens(ctx context.Context, w Want) (bool, error) {
	rows, err := m.query(ctx, "", "SELECT COALESCE(@@bind_address, ''), @@skip_networking")
	if err != nil {
		return false, err
	}
	bind, off := rows[0][0], rows[0][1] == "1" && m.private == ""
	if len(w.Listen) == 0 || bind == "" && !off {
		return true, nil
	}
	if bind == "::" { // MariaDB and MySQL take IPv4 there too
		bind = "*"
	}
	_, ok := pgListens(bind, w.Listen)
	return ok && !off, nil
}

// reload: nothing takes less than a restart.
func (m *mariadb) reload(context.Context) error { return nil }

func (m *mariadb) applied(ctx context.Context, w Want) error {
	ok, err := m.listens(ctx, w)
	if err == nil && !ok {
		err = fmt.Errorf("database server: does not listen at %s after its restart: a file behind %s sets bind-address", list(w.Listen), m.config+dropInCnf)
	}
	return err
}
