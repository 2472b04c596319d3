{{/* What the names of all objects begin with: short enough for every suffix. */}}
{{- define "atoll.fullname" -}}
{{- $release := .Release.Name -}}
{{- $own := contains "atoll" $release | ternary $release (printf "%s-atoll" $release) -}}
{{- .Values.fullnameOverride | default $own | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The operator's objects, and its Lease. */}}
{{- define "atoll.operator" -}}
{{ include "atoll.fullname" . }}-operator
{{- end -}}

{{/* The Secret of the authority that hubs trust; the operator makes it. */}}
{{- define "atoll.authority" -}}
{{ include "atoll.operator" . }}-authority
{{- end -}}

{{- define "atoll.serviceAccount" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "atoll.operator" .) "default" -}}
{{- .Values.serviceAccount.name | default $own -}}
{{- end -}}

{{/* What the operator's pods are found by. It never changes: a Deployment's selector cannot. */}}
{{- define "atoll.selector" -}}
app.kubernetes.io/name: atoll
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of every object. */}}
{{- define "atoll.labels" -}}
{{- $own := include "atoll.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- mergeOverwrite (deepCopy .Values.commonLabels) $own | toYaml -}}
{{- end -}}

{{/* An image by its parts. Of (dict "image" an image of the values, "context" the root). */}}
{{- define "atoll.image" -}}
{{- $registry := .context.Values.imageRegistry | trimSuffix "/" -}}
{{- if not (or $registry (contains "/" .image.repository)) -}}
{{- fail (printf "imageRegistry is empty and %q is no whole name: build and push the images, then set imageRegistry (docs/install.md)" .image.repository) -}}
{{- end -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .context.Chart.AppVersion }}{{ end }}
{{- end -}}

{{/* What the operator may do where TrainingJobs are: in all namespaces, or in each that it watches. */}}
{{- define "atoll.rules" -}}
- apiGroups: [atoll.dev]
  resources: [trainingjobs]
  verbs: [get, list, watch, delete] # deletes those whose TTL is over
- apiGroups: [atoll.dev]
  resources: [trainingjobs/status]
  verbs: [get, update, patch]
- apiGroups: [atoll.dev]
  resources: [trainingjobs/finalizers]
  verbs: [update] # to own objects with blockOwnerDeletion, where that is guarded
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch] # why a pod is not made, or a volume not mounted: no status says it
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [get, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create] # and never read
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* The environment that the operator reads its settings from. */}}
{{- define "atoll.environment" -}}
- name: ATOLL_OPERATOR_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: ATOLL_OPERATOR_POD
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: ATOLL_OPERATOR_LABELS
  value: {{ include "atoll.selector" . | fromYaml | toJson | quote }}
- name: ATOLL_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: ATOLL_LEASE
  value: {{ include "atoll.operator" . | quote }}
- name: ATOLL_AUTHORITY_SECRET
  value: {{ include "atoll.authority" . | quote }}
- name: ATOLL_METRICS_FROM
  value: {{ .Values.metricsFrom | toJson | quote }}
- name: ATOLL_METRICS_OBJECTS
  value: {{ .Values.metrics.objects | quote }}
- name: ATOLL_SCRAPE_ANNOTATIONS
  value: {{ .Values.metrics.annotations | quote }}
- name: ATOLL_LOG_FORMAT
  value: {{ .Values.logging.format | quote }}
- name: ATOLL_LOG_LEVEL
  value: {{ .Values.logging.level | quote }}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: ATOLL_TRACING_TO
  value: {{ .Values.tracing.to | toJson | quote }}
- name: ATOLL_WORKERS
  value: {{ .Values.concurrency | int64 | quote }}
- name: ATOLL_POLL_SECONDS
  value: {{ .Values.hubPollSeconds | int64 | quote }}
- name: ATOLL_HEALTH_PORT
  value: {{ .Values.healthPort | int64 | quote }}
{{- with .Values.worker }}
- name: ATOLL_WORKER_IMAGE
  value: {{ include "atoll.image" (dict "image" .image "context" $) | quote }}
- name: ATOLL_IMAGE_PULL_POLICY
  value: {{ .image.pullPolicy | quote }}
- name: ATOLL_IMAGE_PULL_SECRETS
  value: "{{ range $index, $it := .imagePullSecrets }}{{ if $index }},{{ end }}{{ $it.name }}{{ end }}"
- name: ATOLL_FS_GROUP
  value: {{ if kindIs "string" .fsGroup }}{{ quote .fsGroup }}{{ else }}{{ int64 .fsGroup | quote }}{{ end }}
{{- end }}
{{- end -}}

{{/* Annotations of the operator's pods: what the user says wins. */}}
{{- define "atoll.podAnnotations" -}}
{{- $scraped := dict -}}
{{- if .Values.metrics.annotations -}}
{{- $port := .Values.healthPort | int64 | toString -}}
{{- $scraped = dict "prometheus.io/scrape" "true" "prometheus.io/port" $port "prometheus.io/path" "/metrics" -}}
{{- end -}}
{{- with mergeOverwrite $scraped .Values.podAnnotations }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Labels of a monitor: those that its Prometheus looks for, and ours. Of (dict "monitor" "context"). */}}
{{- define "atoll.monitorLabels" -}}
{{- mergeOverwrite (deepCopy .monitor.labels) (include "atoll.labels" .context | fromYaml) | toYaml -}}
{{- end -}}

{{/* How often a monitor scrapes. */}}
{{- define "atoll.scraping" -}}
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- end -}}

{{/* Softly over nodes and zones: better two operators on one node than one operator. */}}
{{- define "atoll.spread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "atoll.selector" . | fromYaml)) -}}
{{- $soft := list -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $soft = append $soft (dict "topologyKey" . "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash")) -}}
{{- end -}}
{{- range $index, $it := .Values.topologySpreadConstraints | default $soft }}
{{- if $index }}{{ "\n" }}{{ end -}}
- {{ hasKey $it "labelSelector" | ternary $it (mergeOverwrite (deepCopy $it) $own) | toYaml | indent 2 | trim }}
{{- end -}}
{{- end -}}

{{/* The pod of `helm test`. */}}
{{- define "atoll.testLabels" -}}
app.kubernetes.io/name: atoll
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: test
{{- end -}}
