package main

import (
	"crypto/rand"
	"html"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// app answers every path with the same page.
type app struct {
	page     string
	status   int
	started  time.Time
	ready    time.Duration
	slow     time.Duration
	redirect string
	dynamic  bool
	health   health
}

// health is what HEALTH="PATH [STATUS [SECONDS]]" says: from these seconds after the start on, PATH answers with STATUS.
type health struct {
	path   string
	status int
	after  time.Duration
}

func newApp() *app {
	return &app{
		page:     page(),
		status:   number("STATUS", http.StatusOK),
		started:  time.Now(),
		ready:    seconds("READY_AFTER"),
		slow:     seconds("SLOW"),
		redirect: os.Getenv("REDIRECT"),
		dynamic:  os.Getenv("DYNAMIC") == "1",
		health:   parseHealth(text("HEALTH", "/healthz")),
	}
}

func parseHealth(value string) health {
	parts := strings.Fields(value)
	parsed := health{path: parts[0], status: http.StatusOK}
	for at, part := range parts[1:] {
		number, err := strconv.Atoi(part)
		if err != nil || at > 1 {
			log.Fatalf("HEALTH is %q, which is not PATH [STATUS [SECONDS]]", value)
		}
		if at == 0 {
			parsed.status = number
		} else {
			parsed.after = time.Duration(number) * time.Second
		}
	}
	return parsed
}

// page is the same for every answer: DYNAMIC adds to it.
func page() string {
	title := html.EscapeString(text("TITLE", "web"))
	var page strings.Builder
	page.WriteString("<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>" + title + "</title></head>\n<body>\n<h1>" + title + "</h1>\n")
	paragraph := func(text string) {
		if text != "" {
			page.WriteString("<p>" + html.EscapeString(text) + "</p>\n")
		}
	}
	paragraph(os.Getenv("GREETING"))
	paragraph(os.Getenv("BODY"))
	if os.Getenv("SHOW_HOSTNAME") == "1" {
		name, err := os.Hostname()
		if err != nil {
			log.Fatal(err)
		}
		paragraph(name)
	}
	return page.String()
}

func (a *app) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	time.Sleep(a.slow)
	age := time.Since(a.started)
	if age < a.ready {
		http.Error(response, "not ready yet", http.StatusServiceUnavailable)
		return
	}
	if request.URL.Path == a.health.path {
		status := http.StatusOK
		if age >= a.health.after {
			status = a.health.status
		}
		response.WriteHeader(status)
		_, _ = io.WriteString(response, strings.ToLower(http.StatusText(status))+"\n")
		return
	}
	if target := a.target(request); target != "" {
		http.Redirect(response, request, target, http.StatusFound)
		return
	}
	response.Header().Set("Content-Type", "text/html; charset=utf-8")
	response.WriteHeader(a.status)
	_, _ = io.WriteString(response, a.page)
	if a.dynamic {
		_, _ = io.WriteString(response, "<p>"+time.Now().Format(time.RFC3339Nano)+" "+rand.Text()+"</p>\n")
	}
	_, _ = io.WriteString(response, "</body>\n</html>\n")
}

// target is where REDIRECT sends a request, if anywhere.
func (a *app) target(request *http.Request) string {
	switch a.redirect {
	case "http":
		return "http://" + request.Host + request.URL.RequestURI()
	case "https":
		if request.Header.Get("X-Forwarded-Proto") != "https" {
			return "https://" + request.Host + request.URL.RequestURI()
		}
	case "loop":
		return request.URL.RequestURI()
	case "":
	default:
		return a.redirect
	}
	return ""
}
