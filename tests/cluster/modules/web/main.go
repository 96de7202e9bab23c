// web: an app as a course would deploy it. The environment says what goes well and what does not; see tests/cluster/README.md.
// With the argument `registry` it is an image registry instead.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	address := net.JoinHostPort(text("ADDRESS", "0.0.0.0"), text("PORT", "8000"))
	var handler http.Handler
	switch {
	case len(os.Args) < 2:
		requireVariables()
		handler = newApp()
	case len(os.Args) == 2 && os.Args[1] == "registry":
		handler = newRegistry()
	default:
		log.Fatal("usage: web [registry]")
	}
	if os.Getenv("ACCESS_LOG") == "1" {
		handler = logged(handler)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", address)
	if len(os.Args) < 2 {
		go misbehave()
	}
	log.Fatal(http.Serve(listener, handler))
}

// requireVariables ends the app as a framework does that misses a setting.
func requireVariables() {
	for name := range strings.SplitSeq(os.Getenv("REQUIRE"), ",") {
		if name != "" && os.Getenv(name) == "" {
			log.Fatalf("%s is not set", name)
		}
	}
}

// misbehave does what befalls an app after it has started: it takes more memory than it may, or ends.
func misbehave() {
	if size := os.Getenv("EAT"); size != "" {
		go eat(size)
	}
	if code := os.Getenv("EXIT"); code != "" {
		time.Sleep(seconds("EXIT_AFTER"))
		log.Print(text("EXIT_MESSAGE", fmt.Sprintf("giving up with exit code %s", code)))
		os.Exit(number("EXIT", 1))
	}
}

// eaten is never let go of.
var eaten [][]byte

// eat takes and touches this much memory, a mebibyte at a time.
func eat(size string) {
	count, err := strconv.Atoi(strings.TrimSuffix(size, "Mi"))
	if err != nil {
		log.Fatalf("EAT is %q, which is no size such as 200Mi", size)
	}
	for range count {
		block := make([]byte, 1<<20)
		for at := 0; at < len(block); at += os.Getpagesize() {
			block[at] = 1
		}
		eaten = append(eaten, block)
	}
	log.Printf("took %s of memory", size)
}

func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		log.Printf("%s %s %s %s", request.RemoteAddr, request.Method, request.Host, request.URL)
		next.ServeHTTP(response, request)
	})
}

// text is the value of a variable, or what stands for one that is not set.
func text(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func number(name string, otherwise int) int {
	value := os.Getenv(name)
	if value == "" {
		return otherwise
	}
	parsed, err := strconv.Atoi(value)
	if err != nil {
		log.Fatalf("%s is %q, which is no number", name, value)
	}
	return parsed
}

func seconds(name string) time.Duration {
	value := text(name, "0")
	parsed, err := strconv.ParseFloat(value, 64)
	if err != nil {
		log.Fatalf("%s is %q, which is no number of seconds", name, value)
	}
	return time.Duration(parsed * float64(time.Second))
}
