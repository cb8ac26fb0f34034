{{- define "model-validation.image" -}}
{{ .image.repository }}{{ if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .version }}{{ end }}
{{- end }}

{{- define "model-validation.webhook" -}}
{{ include "model-validation.image" (dict "image" .Values.images.webhook "version" .Chart.AppVersion) }}
{{- end }}

{{- define "model-validation.validator" -}}
{{ include "model-validation.image" (dict "image" .Values.images.validator "version" .Chart.AppVersion) }}
{{- end }}
