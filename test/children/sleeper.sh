#!/bin/sh
# An engine that never ends and leaves its group, and a witness: it looks whether anybody of a former attempt of its job
# still runs. $1 is the log, $2 the job; a line of the log is `<job> <pid> <start time>`.
log=$1
job=$2

start_of() {
  read -r line <"/proc/$1/stat" || return 1
  set -- ${line##*) }
  [ "$1" != Z ] && [ "$1" != X ] && echo "${20}"
}

if [ -e "$log" ]; then
  while read -r other pid start; do
    [ "$other" = "$job" ] || continue
    now=$(start_of "$pid" 2>/dev/null) || continue
    [ "$now" = "$start" ] && echo "OVERLAP $job $pid" >>"$log"
  done <"$log"
fi

setsid sleep 300 </dev/null >/dev/null 2>&1 &
daemon=$!
echo "$job $daemon $(start_of $daemon)" >>"$log"
echo "$job $$ $(start_of $$)" >>"$log"
exec sleep 300
