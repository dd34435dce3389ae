package restore

import "github.com/xcrate/xcrate/artifact"

// checkSecrets stops the import of a snapshot that was taken for a support case: what
// stands in its tables in place of passwords would take the place of those of the host.
func (p *planner) checkSecrets() {
	if s := p.snapshot.Config.Secrets; s != nil && s.State == artifact.SecretsLeftOut {
		p.find(CodeSecrets, Block, "take the snapshot to restore from without --without-secrets",
			"the snapshot was taken without secrets, for a support case: no node works after its import")
	}
}
