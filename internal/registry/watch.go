package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// ErrStalled says that nothing came over a connection for too long.
var ErrStalled = errors.New("nothing comes any more")

const (
	// leastMoved is how many bytes have to come for a connection to count as alive: a
	// peer that sends one byte a second is none.
	leastMoved = 1 << 10
	// answerWithin is how much longer than StallAfter a registry may take to answer when
	// it has got all bytes: it hashes a blob of a GiB before that.
	answerWithin = 10
)

// watched is the client that oras-go sends its requests with.
type watched struct{ r *Repository }

// Do implements remote.Client.
func (w watched) Do(req *http.Request) (*http.Response, error) { return w.r.send(req) }

// send sends a request that is given up when nothing moves for a while: while its body
// is sent, until the answer begins, and while that is read.
func (r *Repository) send(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{stall: r.opt.StallAfter, cancel: cancel}
	first := w.stall
	if req.Method == http.MethodPut {
		first *= answerWithin // the end of an upload has no body
	}
	w.timer = time.AfterFunc(first, func() { cancel(ErrStalled) })
	req = req.Clone(ctx)
	w.watchBody(req)
	resp, err := r.client.Do(req)
	if err != nil {
		w.stop()
		return nil, w.explain(ctx, err)
	}
	r.answered.Store(true)
	w.timer.Stop()
	resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, watch: w, now: r.opt.Now}
	if err := r.failed(resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// watch ends a request that does not move.
type watch struct {
	timer  *time.Timer
	stall  time.Duration
	cancel context.CancelCauseFunc
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain says why a request was given up, which net/http does not.
func (w *watch) explain(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ErrStalled) {
		return ErrStalled
	}
	return err
}

// watchBody keeps the watch informed of what is taken from the body. It is read in
// pieces, each when the one before has been written to the connection.
func (w *watch) watchBody(req *http.Request) {
	if req.Body == nil || req.Body == http.NoBody {
		return
	}
	req.Body = &sentBody{ReadCloser: req.Body, watch: w}
	if again := req.GetBody; again != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return &sentBody{ReadCloser: body, watch: w}, nil
		}
	}
}

type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.stall)
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.watch.timer.Reset(answerWithin * b.watch.stall)
	}
	return n, err
}

// watchedBody is an answer that has to keep coming. Only the time in Read counts: between
// two calls it is the reader who takes long.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context
	watch  *watch
	now    func() time.Time
	moved  int           // bytes of the last leastMoved
	waited time.Duration // for them
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	began := b.now()
	b.watch.timer.Reset(b.watch.stall - b.waited)
	n, err := b.ReadCloser.Read(p)
	b.watch.timer.Stop()
	b.waited += b.now().Sub(began)
	if b.moved += n; b.moved >= leastMoved {
		b.moved, b.waited = 0, 0
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.watch.explain(b.ctx, err)
	}
	return n, err
}

// Close ends the request.
func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	b.watch.stop()
	return err
}
