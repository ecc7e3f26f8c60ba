{{- /* Parts of several objects. Only what text/template of Go has is used, so that the templates can be rendered without Helm. */ -}}

{{- define "scanwatch.labels" -}}
app.kubernetes.io/name: scanwatch, app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "scanwatch.image" -}}
{{ .Values.image.repository }}:{{ if .Values.image.tag }}{{ .Values.image.tag }}{{ else }}{{ .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "scanwatch.container_security" -}}
{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end }}

{{- define "scanwatch.pod_security" -}}
{runAsNonRoot: true, runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001, fsGroupChangePolicy: OnRootMismatch, seccompProfile: {type: RuntimeDefault}}
{{- end }}

{{- define "scanwatch.resources" -}}
{ {{- range $kind, $amounts := . }}{{ $kind }}: { {{- range $name, $amount := $amounts }}{{ $name }}: {{ printf "%q" $amount }}, {{ end -}} }, {{ end -}} }
{{- end }}
