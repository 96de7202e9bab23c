package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"regexp"
	"runtime"
	"strings"
)

// registry is an image registry as clients see it (OCI distribution specification 1.1). What it answers depends on the repository:
//
//	public/*    an image with the tag `1`; an image index where the name ends in -index
//	private/*   wants a token, gives one, and then wants more rights, as Docker Hub does for what is private or does not exist
//	denied/*    the same, and then forbids, as GitHub's registry does
//	limited/*   too many requests, as Docker Hub
//	others      not known
type registry struct {
	blobs     map[string][]byte
	manifests map[string]document
}

// document is a manifest and its media type.
type document struct {
	mediaType string
	bytes     []byte
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

func newRegistry() *registry {
	r := &registry{blobs: map[string][]byte{}, manifests: map[string]document{}}
	tarred, layer := emptyLayer()
	config := encode(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"User": "1000", "Entrypoint": []string{"/web"}, "ExposedPorts": map[string]any{"8000/tcp": struct{}{}}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{digest(tarred)}},
	})
	r.blobs[digest(config)], r.blobs[digest(layer)] = config, layer
	manifest := encode(map[string]any{
		"schemaVersion": 2,
		"mediaType":     manifestType,
		"config":        descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers":        []any{descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)},
	})
	inIndex := descriptor(manifestType, manifest)
	inIndex["platform"] = map[string]any{"architecture": runtime.GOARCH, "os": "linux"}
	index := encode(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []any{inIndex}})
	r.manifests["1"] = document{manifestType, manifest}
	r.manifests[digest(manifest)] = r.manifests["1"]
	r.manifests["index"] = document{indexType, index}
	r.manifests[digest(index)] = r.manifests["index"]
	return r
}

// emptyLayer is a layer of one directory, as tar and compressed.
func emptyLayer() ([]byte, []byte) {
	var tarred, compressed bytes.Buffer
	archive := tar.NewWriter(&tarred)
	check(archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o755}))
	check(archive.Close())
	writer := gzip.NewWriter(&compressed)
	_, err := writer.Write(tarred.Bytes())
	check(err)
	check(writer.Close())
	return tarred.Bytes(), compressed.Bytes()
}

var content = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/([^/]+)$`)

func (r *registry) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	switch request.URL.Path {
	case "/v2/":
		answer(response, "application/json", []byte("{}"))
		return
	case "/token":
		answer(response, "application/json", encode(map[string]any{"token": "anonymous", "expires_in": 300}))
		return
	}
	parts := content.FindStringSubmatch(request.URL.Path)
	if parts == nil {
		http.NotFound(response, request)
		return
	}
	repository, kind, reference := parts[1], parts[2], parts[3]
	owner, _, _ := strings.Cut(repository, "/")
	authorized := strings.HasPrefix(request.Header.Get("Authorization"), "Bearer ")
	switch {
	case owner == "limited":
		refuse(response, http.StatusTooManyRequests, "TOOMANYREQUESTS", "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit", nil)
	case owner == "denied" && authorized:
		refuse(response, http.StatusForbidden, "DENIED", "requested access to the resource is denied", nil)
	case owner == "private" || owner == "denied":
		challenge := fmt.Sprintf(`Bearer realm="http://%s/token",service="%s",scope="repository:%s:pull"`, request.Host, request.Host, repository)
		if authorized {
			challenge += `,error="insufficient_scope"`
		}
		response.Header().Set("WWW-Authenticate", challenge)
		refuse(response, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required",
			[]any{map[string]string{"Type": "repository", "Class": "", "Name": repository, "Action": "pull"}})
	case owner == "public" && kind == "blobs":
		r.blob(response, reference)
	case owner == "public":
		r.manifest(response, repository, reference)
	default:
		refuse(response, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry", map[string]string{"name": repository})
	}
}

func (r *registry) manifest(response http.ResponseWriter, repository, reference string) {
	if reference == "1" && strings.HasSuffix(repository, "-index") {
		reference = "index"
	}
	found, ok := r.manifests[reference]
	if !ok {
		refuse(response, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown", "unknown tag="+reference)
		return
	}
	response.Header().Set("Docker-Content-Digest", digest(found.bytes))
	answer(response, found.mediaType, found.bytes)
}

func (r *registry) blob(response http.ResponseWriter, reference string) {
	found, ok := r.blobs[reference]
	if !ok {
		refuse(response, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", map[string]string{"digest": reference})
		return
	}
	response.Header().Set("Docker-Content-Digest", reference)
	answer(response, "application/octet-stream", found)
}

func answer(response http.ResponseWriter, mediaType string, content []byte) {
	response.Header().Set("Content-Type", mediaType)
	response.Header().Set("Content-Length", fmt.Sprint(len(content)))
	_, _ = response.Write(content)
}

func refuse(response http.ResponseWriter, status int, code, message string, detail any) {
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(status)
	refusal := map[string]any{"code": code, "message": message}
	if detail != nil {
		refusal["detail"] = detail
	}
	_, _ = response.Write(encode(map[string]any{"errors": []any{refusal}}))
}

func descriptor(mediaType string, content []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digest(content), "size": len(content)}
}

func digest(content []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}

func encode(value any) []byte {
	encoded, err := json.Marshal(value)
	check(err)
	return encoded
}

// check ends the program where only a mistake in it can be the reason.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
