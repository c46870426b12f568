{{/* All of these take (dict "root" $ "name" SERVICE). */}}

{{- define "pvtrail.fullname" -}}
{{ printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "pvtrail.selector" -}}
app.kubernetes.io/name: pvtrail
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "pvtrail.labels" -}}
{{ include "pvtrail.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Not empty for services that use ClickHouse. */}}
{{- define "pvtrail.usesStore" -}}
{{ if has .name (list "api" "analytics") }}yes{{ end }}
{{- end }}

{{- define "pvtrail.env" -}}
{{- $v := .root.Values -}}
- { name: KAFKA_BROKERS, value: {{ join "," $v.kafka.brokers | quote }} }
{{- with $v.kafka.prefix }}
- { name: KAFKA_PREFIX, value: {{ . | quote }} }
{{- end }}
- { name: KAFKA_PARTITIONS, value: {{ $v.kafka.partitions | quote }} }
- { name: KAFKA_REPLICATION, value: {{ $v.kafka.replication | quote }} }
{{- if $v.kafka.tls.enabled }}
- { name: KAFKA_TLS, value: 'true' }
{{- if $v.kafka.tls.secret }}
- { name: KAFKA_TLS_CA, value: /secrets/kafka/ca.crt }
{{- if $v.kafka.tls.clientCertificate }}
- { name: KAFKA_TLS_CERT, value: /secrets/kafka/tls.crt }
- { name: KAFKA_TLS_KEY, value: /secrets/kafka/tls.key }
{{- end }}
{{- end }}
{{- end }}
{{- if $v.kafka.sasl.mechanism }}
- { name: KAFKA_SASL_MECHANISM, value: {{ $v.kafka.sasl.mechanism }} }
- name: KAFKA_SASL_USERNAME
  valueFrom: { secretKeyRef: { name: {{ $v.kafka.sasl.secret }}, key: username } }
- { name: KAFKA_SASL_PASSWORD_FILE, value: /secrets/kafka/sasl-password }
{{- end }}
{{- if include "pvtrail.usesStore" . }}
- { name: CLICKHOUSE_URL, value: {{ $v.clickhouse.url | quote }} }
- { name: CLICKHOUSE_DATABASE, value: {{ $v.clickhouse.database | quote }} }
- { name: CLICKHOUSE_USER, value: {{ $v.clickhouse.user | quote }} }
- { name: CLICKHOUSE_PASSWORD_FILE, value: /secrets/clickhouse/password }
{{- if $v.clickhouse.caSecret }}
- { name: CLICKHOUSE_TLS_CA, value: /secrets/clickhouse/ca.crt }
{{- end }}
- { name: CLICKHOUSE_TABLES, value: {{ $v.clickhouse.tables }} }
{{- with $v.clickhouse.cluster }}
- { name: CLICKHOUSE_CLUSTER, value: {{ . | quote }} }
{{- end }}
{{- end }}
- { name: PVTRAIL_HTTP_HOST, value: 0.0.0.0 }
- { name: PVTRAIL_HTTP_PORT, value: '8080' }
{{- if eq .name "api" }}
- { name: PVTRAIL_API_TOKEN_FILE, value: /secrets/api/token }
{{- end }}
{{- with (index $v.services .name).workers }}
- { name: PVTRAIL_WORKERS, value: {{ . | quote }} }
{{- end }}
- { name: PVTRAIL_LOG_LEVEL, value: {{ $v.logLevel }} }
- { name: PVTRAIL_SHUTDOWN_MS, value: {{ mul $v.shutdownSeconds 1000 | quote }} }
{{- with $v.telemetry.endpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- end }}

{{/* Sources of the volume below /secrets: files of secrets that the chart only names. */}}
{{- define "pvtrail.secrets" -}}
{{- $v := .root.Values -}}
{{- if eq .name "api" }}
- secret:
    name: {{ $v.api.tokenSecret.name }}
    items: [{ key: {{ $v.api.tokenSecret.key }}, path: api/token }]
{{- end }}
{{- if include "pvtrail.usesStore" . }}
- secret:
    name: {{ $v.clickhouse.passwordSecret.name }}
    items: [{ key: {{ $v.clickhouse.passwordSecret.key }}, path: clickhouse/password }]
{{- with $v.clickhouse.caSecret }}
- secret:
    name: {{ . }}
    items: [{ key: ca.crt, path: clickhouse/ca.crt }]
{{- end }}
{{- end }}
{{- with $v.kafka.tls }}
{{- if and .enabled .secret }}
- secret:
    name: {{ .secret }}
    items:
      - { key: ca.crt, path: kafka/ca.crt }
      {{- if .clientCertificate }}
      - { key: tls.crt, path: kafka/tls.crt }
      - { key: tls.key, path: kafka/tls.key }
      {{- end }}
{{- end }}
{{- end }}
{{- if $v.kafka.sasl.mechanism }}
- secret:
    name: {{ $v.kafka.sasl.secret }}
    items: [{ key: password, path: kafka/sasl-password }]
{{- end }}
{{- end }}
