package stack

// xcatSecretColumns are the columns that hold secrets and are not called like one
// (section 2.8 of the reference). Where a password may be one argument among others, or
// stand in a document, all of it counts.
func xcatSecretColumns() []SecretColumn {
	in := func(table string, columns ...string) (all []SecretColumn) {
		for _, c := range columns {
			all = append(all, SecretColumn{Table: table, Column: c})
		}
		return all
	}
	var all []SecretColumn
	for _, rows := range [][]SecretColumn{
		in("auditlog", "args"),
		in("bootparams", "kcmdline", "addkcmdline"),
		in("boottarget", "kcmdline"),
		in("kvm_masterdata", "xml"),
		in("kvm_nodedata", "xml"),
		in("linuximage", "addkcmdline"),
		in("monsetting", "value"),
		in("nics", "nicextraparams"),
		in("osimage", "environvar"),
		in("prodkey", "key"),
		in("switches", "privacy", "auth"),
		{{Table: "site", Column: "value", Keys: []string{"snmpc"}}},
	} {
		all = append(all, rows...)
	}
	return all
}
