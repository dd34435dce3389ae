package registry

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// credentials finds out who to be. What was given is for the registry alone; a host
// that it redirects to is asked for in the files.
func (r *Repository) credentials() auth.CredentialFunc {
	files := r.opt.credentialFiles()
	return func(ctx context.Context, host string) (auth.Credential, error) {
		if r.opt.Username != "" && host == r.remote.Reference.Host() {
			return auth.Credential{Username: r.opt.Username, Password: r.opt.Password}, nil
		}
		for _, file := range files {
			c, err := fromFile(ctx, file, host)
			if err != nil {
				// Of several files one may name a helper that is not on this machine.
				r.opt.Note("credentials in %s are not used: %v", file, err)
				continue
			}
			if c != auth.EmptyCredential {
				return c, nil
			}
		}
		return auth.EmptyCredential, nil
	}
}

// fromFile looks into a file, or asks the helper it names. A file that is not there
// says nothing.
func fromFile(ctx context.Context, file, host string) (auth.Credential, error) {
	store, err := credentials.NewStore(file, credentials.StoreOptions{})
	if err != nil {
		return auth.EmptyCredential, err
	}
	c, err := store.Get(ctx, credentials.ServerAddressFromHostname(host))
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("for %s: %w", host, err)
	}
	return c, nil
}

// credentialFiles are where podman, then docker, keep what a login gave them:
// containers-auth.json(5) and docker's "config.json", in the order in which podman
// looks.
func (o Options) credentialFiles() []string {
	if file := o.Env("REGISTRY_AUTH_FILE"); file != "" {
		return []string{file}
	}
	var files []string
	if dir := o.Env("XDG_RUNTIME_DIR"); dir != "" {
		files = append(files, filepath.Join(dir, "containers/auth.json"))
	}
	files = append(files, filepath.Join("/run/containers", strconv.Itoa(o.UserID), "auth.json"))
	home := o.Env("HOME")
	if dir := o.Env("XDG_CONFIG_HOME"); dir != "" {
		files = append(files, filepath.Join(dir, "containers/auth.json"))
	} else if home != "" {
		files = append(files, filepath.Join(home, ".config/containers/auth.json"))
	}
	if dir := o.Env("DOCKER_CONFIG"); dir != "" {
		files = append(files, filepath.Join(dir, "config.json"))
	} else if home != "" {
		files = append(files, filepath.Join(home, ".docker/config.json"))
	}
	return files
}
