# python_environment FOLDER REQUIREMENTS: a Python with these packages in FOLDER/venv, for scripts that source this file.
# They are installed again only when REQUIREMENTS changes.
python_environment() {
  local folder=$1 requirements=$2 python=${PYTHON:-python3}
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "$requirements needs Python 3.10 or newer with venv (Debian: apt-get install python3-venv)" >&2
    return 1
  fi
  cmp -s "$requirements" "$folder/requirements.txt" && return
  rm -rf "$folder/venv"
  mkdir -p "$folder"
  "$python" -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$folder/requirements.txt"
}
