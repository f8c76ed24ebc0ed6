{{- define "peercached.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* The name of all objects, or the beginning of it. It leaves room for what is put behind it. */}}
{{- define "peercached.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "peercached.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "peercached.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "peercached.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "peercached.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* What selects all pods of the release. It cannot change in an upgrade. */}}
{{- define "peercached.selector" -}}
app.kubernetes.io/name: {{ include "peercached.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "peercached.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "peercached.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "peercached.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The doors that are open, as a list of names. */}}
{{- define "peercached.doors" -}}
{{- range $door := list "http" "grpc" "resp" }}
{{- if (index $.Values $door).enabled }}{{ $door }} {{ end }}
{{- end }}
{{- end }}

{{- /* Nine tenths of a limit of memory, for the runtime; empty if the limit is not in Mi or Gi. */}}
{{- define "peercached.memory" -}}
{{- $limit := dig "limits" "memory" "" . | toString }}
{{- if regexMatch "^[0-9]+Mi$" $limit }}{{ div (mul 9 (trimSuffix "Mi" $limit | int)) 10 }}MiB
{{- else if regexMatch "^[0-9]+Gi$" $limit }}{{ div (mul 9 1024 (trimSuffix "Gi" $limit | int)) 10 }}MiB
{{- end }}
{{- end }}

{{- /* peers.discovery: nodes and gateways are pods of two services, because endpoints do not say who owns keys. */}}
{{- define "peercached.discovery" -}}
{{- $name := include "peercached.fullname" . }}
{{- if eq .Values.discovery "dns" }}
dns: {{ printf "http://%s-peers.%s.svc:%d" $name .Release.Namespace (int .Values.ports.peers) }}
{{- else }}
kubernetes: {{ $name }}-peers
{{- end }}
{{- if .Values.gateway.enabled }}
gateways:
  {{- if eq .Values.discovery "dns" }}
  dns: {{ printf "http://%s-gateways.%s.svc:%d" $name .Release.Namespace (int .Values.ports.peers) }}
  {{- else }}
  kubernetes: {{ $name }}-gateways
  {{- end }}
{{- end }}
{{- end }}

{{- /* peercached.yaml */}}
{{- define "peercached.config" -}}
{{- $c := deepCopy .Values.config }}
{{- if and (not $c.groups) (not $c.data) }}
{{- fail "config.groups is empty: peercached needs a group and its origin, such as --set-json 'config.groups=[{\"name\":\"pages\",\"bytes\":\"64MiB\",\"ttl\":\"1m\",\"origin\":{\"http\":{\"url\":\"http://backend/{key}\"}}}]'" }}
{{- end }}
{{- $peers := dict "listen" (printf ":%d" (int .Values.ports.peers)) "discovery" (include "peercached.discovery" . | fromYaml) }}
{{- $_ := set $c "peers" (merge $peers ($c.peers | default dict)) }}
{{- /* Without a token whoever is let in may look, and no more. */}}
{{- $admin := dict "listen" (printf ":%d" (int .Values.ports.admin)) }}
{{- if not .Values.adminToken.name }}
{{- $_ := set $admin "expose" true }}
{{- $_ := set $admin "read_only" true }}
{{- end }}
{{- $_ := set $c "admin" (merge $admin ($c.admin | default dict)) }}
{{- $end := sub (sub .Values.terminationGracePeriodSeconds .Values.drainSeconds) 5 }}
{{- if lt $end 1 }}
{{- fail "terminationGracePeriodSeconds is too short: want drainSeconds and at least 6 seconds more" }}
{{- end }}
{{- $_ := set $c "shutdown" (dict "delay" (printf "%ds" (int .Values.drainSeconds)) "timeout" (printf "%ds" $end)) }}
{{- range $door := list "http" "grpc" "resp" }}
{{- $v := index $.Values $door }}
{{- if $v.enabled }}
{{- $set := dict "listen" (printf ":%d" (int $v.port)) }}
{{- if not $v.secret.name }}
{{- $_ := set $set "expose" true }}
{{- else if eq $door "resp" }}
{{- $_ := set $set "password" (dict "env" "RESP_SECRET") }}
{{- else }}
{{- $_ := set $set "tokens" (list (dict "token" (dict "env" (printf "%s_SECRET" (upper $door))))) }}
{{- end }}
{{- $_ := set $c $door (merge $set (index $c $door | default dict)) }}
{{- else }}
{{- $_ := unset $c $door }}
{{- end }}
{{- end }}
{{- toYaml $c }}
{{- end }}

{{- /* The pod of a node or of a gateway: (dict "root" $ "component" "node" "command" "serve" "of" …) */}}
{{- define "peercached.pod" -}}
{{- $v := .root.Values }}
metadata:
  labels:
    {{- include "peercached.selector" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $v.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A change of the configuration replaces the pods.
    checksum/config: {{ include "peercached.config" .root | sha256sum }}
    {{- with $v.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "peercached.serviceAccount" .root }}
  automountServiceAccountToken: {{ eq $v.discovery "kubernetes" }}
  enableServiceLinks: false
  # shutdown.delay and shutdown.timeout of the file are less.
  terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: peercached
      image: {{ include "peercached.image" .root | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [{{ .command }}, -c, /etc/peercached/peercached.yaml]
      env:
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        - name: PEERCACHED_PEERS_SELF
          value: {{ if eq $v.ipFamily "IPv6" }}{{ printf "http://[$(POD_IP)]:%d" (int $v.ports.peers) }}{{ else }}{{ printf "http://$(POD_IP):%d" (int $v.ports.peers) }}{{ end }}
        - name: PEERCACHED_PEERS_SECRET
          valueFrom: {secretKeyRef: {name: {{ $v.secret.name }}, key: {{ $v.secret.key }}}}
        {{- with $v.adminToken.name }}
        - name: PEERCACHED_ADMIN_TOKEN
          valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $v.adminToken.key }}}}
        {{- end }}
        {{- range $door := list "http" "grpc" "resp" }}
        {{- with index $v $door }}
        {{- if and .enabled .secret.name }}
        - name: {{ upper $door }}_SECRET
          valueFrom: {secretKeyRef: {name: {{ .secret.name }}, key: {{ .secret.key }}}}
        {{- end }}
        {{- end }}
        {{- end }}
        {{- with include "peercached.memory" .of.resources }}
        - name: GOMEMLIMIT
          value: {{ . }}
        {{- end }}
        {{- with $v.env }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        - {name: peers, containerPort: {{ $v.ports.peers }}}
        - {name: admin, containerPort: {{ $v.ports.admin }}}
        {{- range $door := include "peercached.doors" .root | trim | splitList " " | compact }}
        - {name: {{ $door }}, containerPort: {{ (index $v $door).port }}}
        {{- end }}
      # A pod is a peer as soon as it is there, because the service of the peers publishes it. It
      # gets clients once it is warm, and from then on until it ends, whatever the others do.
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 2
        timeoutSeconds: 1
        failureThreshold: 2
      # Only what a restart mends: a process that does not answer at all.
      livenessProbe:
        httpGet: {path: /livez, port: admin}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources: {{- toYaml .of.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: config, mountPath: /etc/peercached, readOnly: true}
        {{- with $v.volumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      configMap: {name: {{ include "peercached.fullname" .root }}}
    {{- with $v.volumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- if $v.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ $key }}
      maxSkew: 1
      whenUnsatisfiable: {{ $v.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "peercached.selector" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
    {{- end }}
  {{- end }}
  {{- with .of.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
