//go:build engine

package examples_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// forge stands in for GitHub or GitLab: a repository, its requests for a
// merge, their comments and approvals, and the calls that our recipes make.
type forge struct {
	t      *testing.T
	origin string // a bare repository, of which main is the default branch
	clone  string // a person's
	url    string
	bot    string // who the recipe's token writes as

	mu       sync.Mutex
	now      time.Time // of the forge: later at each look
	requests []*mergeRequest
}

// mergeRequest is a pull request or a merge request.
type mergeRequest struct {
	number    int
	branch    string
	merged    string // the commit that main came to by it
	as        string // how
	head      string // of its branch then
	comments  []*comment
	approvals []approval
}

type comment struct {
	id                   int
	author, editor, body string
	created, edited      string // the last is empty where nobody edited it
}

// ghost edited a comment and has no account any more: GitHub then names nobody,
// GitLab this one.
const ghost = "ghost"

type approval struct {
	by, at    string
	dismissed bool
}

// push pushes one file to the branch of a request, which stays where it left
// main.
func (f *forge) push(r *mergeRequest, file, text string) {
	f.t.Helper()
	git(f.t, f.clone, "checkout", "--quiet", "-B", r.branch, "origin/"+r.branch)
	f.commit(r.branch, file, text)
}

// How a request is merged.
const (
	merged   = "merge"
	squashed = "squash" // its commits into one
	rebased  = "rebase" // its commits in a row; GitLab calls it a fast-forward
)

func newForge(t *testing.T, bot string, handler func(*forge) http.Handler) *forge {
	t.Helper()
	f := &forge{t: t, bot: bot, origin: t.TempDir(), clone: t.TempDir(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	calls := handler(f)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		calls.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	git(t, f.origin, "init", "--quiet", "--bare", "--initial-branch=main")
	git(t, f.clone, "init", "--quiet", "--initial-branch=main")
	git(t, f.clone, "remote", "add", "origin", f.origin)
	f.commit("main", "README.md", "Pools.\n")
	return f
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@lab", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@lab")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// commit pushes one file to a branch and returns the commit.
func (f *forge) commit(branch, file, text string) string {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.clone, file), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	git(f.t, f.clone, "add", file)
	git(f.t, f.clone, "commit", "--quiet", "--allow-empty", "--message=Change "+file)
	git(f.t, f.clone, "push", "--quiet", "origin", "HEAD:"+branch)
	return git(f.t, f.clone, "rev-parse", "HEAD")
}

// open asks for a merge of main with one file changed.
func (f *forge) open(file, text string) *mergeRequest {
	f.t.Helper()
	r := &mergeRequest{number: len(f.requests) + 1}
	r.branch = fmt.Sprintf("change-%d", r.number)
	git(f.t, f.clone, "checkout", "--quiet", "-B", r.branch, "origin/main")
	f.commit(r.branch, file, text)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
	return r
}

// merge merges a request and returns the commit that main is at then.
func (f *forge) merge(r *mergeRequest) string {
	f.t.Helper()
	return f.mergeAs(r, merged)
}

func (f *forge) mergeAs(r *mergeRequest, how string) string {
	f.t.Helper()
	git(f.t, f.clone, "checkout", "--quiet", "-B", "main", "origin/main")
	switch how {
	case squashed:
		git(f.t, f.clone, "merge", "--quiet", "--squash", "origin/"+r.branch)
		git(f.t, f.clone, "commit", "--quiet", "--message=Change all at once")
	case rebased:
		git(f.t, f.clone, "merge", "--quiet", "--ff-only", "origin/"+r.branch)
	default:
		git(f.t, f.clone, "merge", "--quiet", "--no-ff", "--message=Merge "+r.branch, "origin/"+r.branch)
	}
	git(f.t, f.clone, "push", "--quiet", "origin", "main")
	f.mu.Lock()
	defer f.mu.Unlock()
	r.as, r.merged, r.head = how, git(f.t, f.clone, "rev-parse", "HEAD"), git(f.t, f.clone, "rev-parse", "origin/"+r.branch)
	return r.merged
}

func (f *forge) time() string {
	f.now = f.now.Add(time.Second)
	return f.now.Format(time.RFC3339)
}

func (f *forge) approve(r *mergeRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.approvals = append(r.approvals, approval{by: "grace", at: f.time()})
}

// dismiss takes the approvals back.
func (f *forge) dismiss(r *mergeRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range r.approvals {
		r.approvals[i].dismissed = true
	}
}

// write adds a comment; the handlers hold the lock.
func (f *forge) write(r *mergeRequest, author, body string) *comment {
	c := &comment{id: 100*r.number + len(r.comments), author: author, body: body, created: f.time()}
	r.comments = append(r.comments, c)
	return c
}

func (f *forge) edit(c *comment, by, body string) {
	c.editor, c.body, c.edited = by, body, f.time()
}

// plans are the comments of the bot.
func (f *forge) plans(r *mergeRequest) []*comment {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*comment
	for _, c := range r.comments {
		if c.author == f.bot {
			out = append(out, c)
		}
	}
	return out
}

func (f *forge) request(number string) *mergeRequest {
	for _, r := range f.requests {
		if strconv.Itoa(r.number) == number {
			return r
		}
	}
	return nil
}

func (f *forge) comment(id string) *comment {
	for _, r := range f.requests {
		for _, c := range r.comments {
			if strconv.Itoa(c.id) == id {
				return c
			}
		}
	}
	return nil
}

// object is one of JSON.
type object = map[string]any

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}

// list is never null.
func list[T any](all []T, one func(T) object) []object {
	out := []object{}
	for _, x := range all {
		out = append(out, one(x))
	}
	return out
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// github answers as GitHub's API does. A token is what it may do, separated by
// spaces.
func github(f *forge) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, need string, do func(http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			may := slices.Contains(strings.Fields(token), need) || slices.Contains(strings.Fields(token), strings.Replace(need, ":read", ":write", 1))
			if !ok || !may {
				http.Error(w, `{"message": "Resource not accessible by integration"}`, http.StatusForbidden)
				return
			}
			do(w, r)
		})
	}
	url := func(c *comment) string { return fmt.Sprintf("%s/repos/lab/pools/issues/comments/%d", f.url, c.id) }
	rest := func(c *comment) object {
		return object{"id": c.id, "url": url(c), "body": c.body, "user": object{"login": c.author}}
	}
	body := func(r *http.Request) string {
		var in struct{ Body string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			f.t.Error(err)
		}
		return strings.TrimSpace(in.Body)
	}
	handle("GET /repos/lab/pools/issues/{n}/comments", "pull-requests:read", func(w http.ResponseWriter, r *http.Request) {
		answer(w, list(f.request(r.PathValue("n")).comments, rest))
	})
	handle("POST /repos/lab/pools/issues/{n}/comments", "pull-requests:write", func(w http.ResponseWriter, r *http.Request) {
		answer(w, rest(f.write(f.request(r.PathValue("n")), f.bot, body(r))))
	})
	handle("PATCH /repos/lab/pools/issues/comments/{id}", "pull-requests:write", func(w http.ResponseWriter, r *http.Request) {
		c := f.comment(r.PathValue("id"))
		f.edit(c, f.bot, body(r))
		answer(w, rest(c))
	})
	handle("GET /repos/lab/pools/commits/{sha}/pulls", "pull-requests:read", func(w http.ResponseWriter, _ *http.Request) {
		// Others have the commit too, on their way elsewhere or merged later.
		answer(w, list(f.requests, func(m *mergeRequest) object {
			return object{"number": m.number, "merged_at": orNull(m.merged), "merge_commit_sha": orNull(m.merged), "base": object{"ref": "main"}}
		}))
	})
	actor := func(login string) any {
		switch {
		case login == "", login == ghost:
			return nil
		case login == f.bot:
			return object{"__typename": "Bot", "login": strings.TrimSuffix(login, "[bot]")}
		}
		return object{"__typename": "User", "login": login}
	}
	handle("POST /graphql", "pull-requests:read", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Query     string
			Variables struct {
				Owner, Name string
				Request     int
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Variables.Owner != "lab" || in.Variables.Name != "pools" {
			f.t.Errorf("a query of %+v: %v", in, err)
		}
		m := f.request(strconv.Itoa(in.Variables.Request))
		answer(w, object{"data": object{"repository": object{"pullRequest": object{
			"comments": object{"nodes": list(m.comments, func(c *comment) object {
				return object{
					"body": c.body, "createdAt": c.created, "lastEditedAt": orNull(c.edited),
					"author": actor(c.author), "editor": actor(c.editor),
				}
			})},
			"latestOpinionatedReviews": object{"nodes": list(m.approvals, func(a approval) object {
				state := "APPROVED"
				if a.dismissed {
					state = "DISMISSED"
				}
				return object{"state": state, "submittedAt": a.at}
			})},
		}}}})
	})
	return mux
}

// elsewhere is a time as the REST API writes it where the service is set to
// another zone, which is west of that of the GraphQL API here.
func elsewhere(t *testing.T, at string) string {
	parsed, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Error(err)
	}
	return parsed.In(time.FixedZone("", -5*3600-1800)).Format("2006-01-02T15:04:05.000-07:00")
}

// gitlabToken is the project's access token.
const gitlabToken = "glpat-secret"

// gitlab answers as GitLab's API does.
func gitlab(f *forge) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("PRIVATE-TOKEN") != gitlabToken {
				http.Error(w, `{"message": "401 Unauthorized"}`, http.StatusUnauthorized)
				return
			}
			do(w, r)
		})
	}
	ids := map[string]int{f.bot: 9, "grace": 2, "mallory": 3}
	note := func(c *comment) object {
		return object{"id": c.id, "body": c.body, "author": object{"id": ids[c.author], "username": c.author}}
	}
	form := func(r *http.Request) string {
		// As the service does: what is no form is no note.
		if err := r.ParseForm(); err != nil || r.PostForm.Get("body") == "" {
			text, _ := io.ReadAll(r.Body)
			f.t.Errorf("a note without a body: %v %s", err, text)
		}
		return strings.TrimSpace(r.PostForm.Get("body"))
	}
	user := func(name string) any {
		if name == "" {
			return nil
		}
		return object{"username": name}
	}
	const project = "/api/v4/projects/7"
	handle("GET /api/v4/user", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, object{"id": ids[f.bot], "username": f.bot})
	})
	handle("GET "+project+"/merge_requests/{n}/notes", func(w http.ResponseWriter, r *http.Request) {
		answer(w, list(f.request(r.PathValue("n")).comments, note))
	})
	handle("POST "+project+"/merge_requests/{n}/notes", func(w http.ResponseWriter, r *http.Request) {
		answer(w, note(f.write(f.request(r.PathValue("n")), f.bot, form(r))))
	})
	handle("PUT "+project+"/merge_requests/{n}/notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		c := f.comment(r.PathValue("id"))
		f.edit(c, f.bot, form(r))
		answer(w, note(c))
	})
	handle("GET "+project+"/merge_requests/{n}/approvals", func(w http.ResponseWriter, r *http.Request) {
		valid := slices.DeleteFunc(slices.Clone(f.request(r.PathValue("n")).approvals), func(a approval) bool { return a.dismissed })
		answer(w, object{"approved_by": list(valid, func(a approval) object {
			return object{"user": user(a.by), "approved_at": elsewhere(f.t, a.at)}
		})})
	})
	handle("GET "+project+"/repository/commits/{sha}/merge_requests", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("state") != "merged" {
			f.t.Errorf("asked for %s", r.URL)
		}
		done := slices.DeleteFunc(slices.Clone(f.requests), func(m *mergeRequest) bool { return m.merged == "" })
		answer(w, list(done, func(m *mergeRequest) object {
			o := object{"iid": m.number, "state": "merged", "target_branch": "main", "sha": m.head, "merge_commit_sha": nil, "squash_commit_sha": nil}
			switch m.as {
			case merged:
				o["merge_commit_sha"] = m.merged
			case squashed:
				o["squash_commit_sha"] = m.merged
			}
			return o
		}))
	})
	handle("POST /api/graphql", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Query     string
			Variables struct{ Project, Request string }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Variables.Project != "lab/pools" {
			f.t.Errorf("a query of %+v: %v", in, err)
		}
		answer(w, object{"data": object{
			"currentUser": user(f.bot),
			"project": object{"mergeRequest": object{"notes": object{"nodes": list(f.request(in.Variables.Request).comments, func(c *comment) object {
				return object{
					"body": c.body, "createdAt": c.created, "lastEditedAt": orNull(c.edited),
					"author": user(c.author), "lastEditedBy": user(c.editor),
				}
			})}}},
		}})
	})
	return mux
}
