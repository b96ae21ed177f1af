"""What is done on the host where a file is written: one script that never changes; all else is its arguments.

The content comes on standard input. What was there before is kept beside the file, under a name that says
which step did it, so that it can be put back; the copy of an earlier execution is removed then. The new
content is written beside the file and takes its place at once: no reader ever sees a half of it.
"""

from __future__ import annotations

from typing import Final

NOT_ALLOWED: Final = 77
NO_DIRECTORY: Final = 66
NO_FILE: Final = 65
CHANGED_SINCE: Final = 68

# Arguments: verb, path, mode, owner, digest of the new content, name of the step; then the allowed
# directories. The directory is looked at as it really is: a link in it may lead out of what is allowed.
SCRIPT: Final = r"""
set -u
verb=$1 path=$2 mode=$3 owner=$4 wanted=$5 step=$6
shift 6
refuse() { echo "$2" >&2; exit "$1"; }

dir=$(realpath -e -- "${path%/*}/" 2>/dev/null) || refuse 66 "there is no directory ${path%/*}"
inside=no
for allowed in "$@"; do
  allowed=$(realpath -e -- "$allowed" 2>/dev/null) || continue
  case $dir/ in "$allowed"/*) inside=yes ;; esac
done
[ "$inside" = yes ] || refuse 77 "$dir is not below a directory in which files may be written"
name=${path##*/}
file=$dir/$name old=$dir/.$name.$step.before none=$dir/.$name.$step.none new=$dir/.$name.$step.new
if [ -L "$file" ] || { [ -e "$file" ] && [ ! -f "$file" ]; }; then refuse 65 "$file is no plain file"; fi

digest() { sha256sum <"$1" | cut -c1-64; }
owned() {
  case $owner in
  "") ;;
  *:*) [ "$(stat -c %U:%G -- "$file")" = "$owner" ] ;;
  *) [ "$(stat -c %U -- "$file")" = "$owner" ] ;;
  esac
}
as_wanted() {
  [ -f "$file" ] && [ "$(digest "$file")" = "$wanted" ] && [ "$(stat -c %a -- "$file")" = "$mode" ] && owned
}
begun() { [ -e "$old" ] || [ -e "$none" ]; }
state() {
  if as_wanted; then echo there; elif [ -f "$file" ]; then echo other; else echo missing; fi
  if begun; then echo begun; else echo untouched; fi
}
keep() {
  if [ -f "$file" ]; then
    cp -p -- "$file" "$old.part" && mv -f -- "$old.part" "$old" || return 1
  else
    : >"$none" || return 1
  fi
  execution=${step#EXE-}
  for kept in "$dir/.$name."EXE-*.before "$dir/.$name."EXE-*.none; do
    case $kept in "$dir/.$name.EXE-${execution%%-*}-"*) ;; *) rm -f -- "$kept" ;; esac
  done
}
put() {
  rm -f -- "$new"
  (set -C; cat >"$new") || return 1
  [ "$(digest "$new")" = "$wanted" ] || refuse 1 "the content did not arrive whole"
  if [ -n "$owner" ]; then chown -- "$owner" "$new" || return 1; fi
  chmod "$mode" "$new" && sync -- "$new" && mv -fT -- "$new" "$file" && sync -- "$dir"
}
ours() { [ ! -f "$file" ] || [ "$(digest "$file")" = "$wanted" ]; }

umask 077
case $verb in
look) state ;;
write)
  if ! begun; then
    if as_wanted; then state; exit 0; fi
    keep || exit 1
  fi
  put || { rm -f -- "$new"; exit 1; }
  state ;;
undo)
  rm -f -- "$new"
  if [ -e "$old" ]; then
    ours || cmp -s -- "$file" "$old" || refuse 68 "$file was changed by somebody else since"
    mv -fT -- "$old" "$file" && sync -- "$dir" || exit 1
  elif [ -e "$none" ]; then
    ours || refuse 68 "$file was changed by somebody else since"
    rm -f -- "$file" "$none" && sync -- "$dir" || exit 1
  fi
  state ;;
esac
"""
