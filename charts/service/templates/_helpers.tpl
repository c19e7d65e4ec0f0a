{{/* Name of the service: as given, or the chart's alias in kebab-case (caseRouting → case-routing). */}}
{{- define "service.name" -}}
{{- default (kebabcase .Chart.Name) .Values.name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Full name of its objects: release and service. Other services find it by this name. */}}
{{- define "service.fullname" -}}
{{- printf "%s-%s" .Release.Name (include "service.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "service.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What never changes between releases and picks out the pods. */}}
{{- define "service.selectorLabels" -}}
app.kubernetes.io/name: {{ include "service.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The migrate Job, its policy and what picks out its pods: never the selector's labels. */}}
{{- define "service.migrateName" -}}
{{- printf "%s-migrate" (include "service.fullname" . | trunc 55 | trimSuffix "-") -}}
{{- end -}}

{{- define "service.migrateSelectorLabels" -}}
app.kubernetes.io/name: {{ include "service.name" . }}-migrate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "service.migrateLabels" -}}
{{ include "service.migrateSelectorLabels" . }}
{{ include "service.commonLabels" . }}
{{- end -}}

{{/* What every object of the release carries besides its name. */}}
{{- define "service.commonLabels" -}}
app.kubernetes.io/part-of: jianghan
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.global.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "service-%s" .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels of objects: a superset of the selector's. */}}
{{- define "service.labels" -}}
{{ include "service.selectorLabels" . }}
{{ include "service.commonLabels" . }}
{{- end -}}

{{- define "service.image" -}}
{{- with .Values.global.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Name of the ConfigMap with the settings file. Not the one of the variables: all that one holds becomes a variable. */}}
{{- define "service.configName" -}}
{{- printf "%s-config" (include "service.fullname" . | trunc 55 | trimSuffix "-") -}}
{{- end -}}

{{/* A value as text. Numbers of a values file are floats to Helm, which writes a million as 1e+06. */}}
{{- define "service.text" -}}
{{- if and (kindIs "float64" .) (eq (toString .) (int64 . | float64 | toString)) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* Settings that are not secret, as a map of environment variables. */}}
{{- define "service.environment" -}}
JIANGHAN_LOG: {{ .Values.global.log | quote }}
JIANGHAN_LOG_FORMAT: json
{{- with .Values.global.otlpEndpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- with .Values.global.publicUrl }}
JIANGHAN_PUBLIC_URL: {{ . | quote }}
{{- end }}
{{- if .Values.grpc.enabled }}
JIANGHAN_LISTEN: {{ printf "0.0.0.0:%d" (int .Values.grpc.port) | quote }}
{{- end }}
{{- if .Values.http.enabled }}
JIANGHAN_HTTP_LISTEN: {{ printf "0.0.0.0:%d" (int .Values.http.port) | quote }}
{{- end }}
{{- range $peer, $port := .Values.global.peers }}
JIANGHAN_ADDR_{{ $peer | replace "-" "_" | upper }}: {{ printf "http://%s-%s:%d" $.Release.Name $peer (int $port) | quote }}
{{- end }}
{{- if .Values.config }}
JIANGHAN_CONFIG: /etc/jianghan/config/jianghan.toml
{{- end }}
{{- range $name, $value := .Values.env }}
{{ $name }}: {{ include "service.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* Pod-level half of the `restricted` profile. */}}
{{- define "service.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ int .Values.runAsUser }}
runAsGroup: {{ int .Values.runAsUser }}
fsGroup: {{ int .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Container-level half of the `restricted` profile. */}}
{{- define "service.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Environment entries that name the files of mounted secrets. Takes the map of references. */}}
{{- define "service.secretEnvironment" -}}
{{- range $variable, $reference := . }}
- name: {{ $variable }}
  value: {{ printf "/etc/jianghan/secrets/%s" ($variable | lower | trimSuffix "_file") }}
{{- end }}
{{- end -}}

{{/* The volume with those files. Takes the map of references. */}}
{{- define "service.secretVolume" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $variable, $reference := . }}
      - secret:
          name: {{ $reference.name }}
          items:
            - key: {{ $reference.key }}
              path: {{ $variable | lower | trimSuffix "_file" }}
      {{- end }}
{{- end -}}

{{/* Rules of a NetworkPolicy for what is outside the release: names, and the ports that are named. */}}
{{- define "service.egressOutside" -}}
# Names.
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- with .Values.networkPolicy.egressPorts }}
# Databases, broker and collector.
- ports:
    {{- range . }}
    - port: {{ int . }}
      protocol: TCP
    {{- end }}
  {{- with $.Values.networkPolicy.egressTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Registry credentials of the pod. */}}
{{- define "service.imagePullSecrets" -}}
{{- range .Values.global.image.pullSecrets }}
- name: {{ . }}
{{- end }}
{{- end -}}

{{/* How a probe asks: over HTTP where there is HTTP, by gRPC's own health protocol otherwise. Takes (list context path service). */}}
{{- define "service.probe" -}}
{{- $values := (index . 0).Values -}}
{{- if $values.http.enabled -}}
httpGet:
  path: {{ index . 1 }}
  port: http
{{- else -}}
grpc:
  port: {{ int $values.grpc.port }}
  {{- with index . 2 }}
  service: {{ . }}
  {{- end }}
{{- end -}}
{{- end -}}
