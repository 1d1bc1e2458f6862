#!/usr/bin/env bash
# Runs a job of Salus, and first sets up what is missing: the environment in .venv, Horovod, Delta's jars.
#
#   ./submit.sh                     the jobs, a sentence each
#   ./submit.sh demo                everything, on an embedded population
#   ./submit.sh <job> --help        what a job takes
#   ./submit.sh <job> ... --spark <arguments of spark-submit ...>
#   ./submit.sh test [arguments of pytest ...]  |  shell  |  setup
#
# Nothing is kept outside the checkout and ${XDG_CACHE_HOME:-~/.cache}/salus. Exit codes: docs/operations.md.
set -euo pipefail
shopt -s inherit_errexit

# Uncompiled, TensorFlow takes three times as long to import, in every worker and rank of every job.
unset PYTHONDONTWRITEBYTECODE

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/salus
venv=$checkout/.venv
stamp=$venv/salus.stamp
python=${SALUS_PYTHON:-python3.11}

# Built from source against the lock's TensorFlow, so it cannot stand in the lock itself.
horovod_version=0.28.1
horovod_hash=sha256:92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0

say() { printf 'salus: %s\n' "$*" >&2; }
fault() { say "$*"; exit 4; }

list_jobs() {
    printf 'Usage: ./submit.sh <job> [arguments] [--spark <arguments of spark-submit>]\n\n'
    local job
    for job in "$checkout"/jobs/*.py; do
        printf '  %-10s %s\n' "$(basename "$job" .py)" "$(sed -n '1s/^"""//; 1s/"""$//; 1p' "$job")"
    done
    printf '  %-10s %s\n' test 'Run the tests (further arguments go to pytest).' \
        setup 'Set up what is missing, and do nothing else.'
    printf '\n  ./submit.sh <job> --help says what a job takes.\n'
}

# ---- prerequisites -------------------------------------------------------------------------------------------

install_line() {   # the exact line for what is missing, in the system's own package names
    if command -v dnf >/dev/null; then
        printf 'sudo dnf install -y python3.11-devel java-17-openjdk-headless gcc-c++ cmake make'
    else
        printf 'sudo apt-get update && sudo apt-get install -y python3.11 python3.11-venv python3.11-dev %s' \
            'openjdk-17-jdk-headless g++ cmake make'
    fi
}

need() { fault "Received a machine without $1; expected $2. Install it with: $(install_line)"; }

java_version() {
    local java=${JAVA_HOME:+$JAVA_HOME/bin/}java
    command -v "$java" >/dev/null || return 0
    "$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1
}

check_prerequisites() {
    [[ $(uname -s) == Linux ]] || fault "Received $(uname -s); expected Linux. Use a Linux machine, a container or WSL 2."
    [[ $("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true) == 3.11 ]] ||
        need "Python 3.11" "$python on the path (or SALUS_PYTHON naming one)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need "Python's venv module" "it beside $python"
    case $(java_version) in
        17 | 21) ;;
        '') need "Java" "a JDK 17 or 21 (on the path, or JAVA_HOME)" ;;
        *) need "the right Java (it has version $(java_version))" "a JDK 17 or 21 (on the path, or JAVA_HOME)" ;;
    esac
    echo 'int main() { if constexpr (true) return 0; }' | "${CXX:-c++}" -std=c++17 -fsyntax-only -x c++ - 2>/dev/null ||
        need "a C++17 compiler" "c++ (or CXX naming one)"
    local tool
    for tool in cmake make; do
        command -v "$tool" >/dev/null || need "$tool" "it on the path"
    done
}

# ---- set-up --------------------------------------------------------------------------------------------------

wanted_environment() {   # what .venv is made of; it is made anew whenever this changes, or the checkout moved
    printf '%s %s horovod %s\n' "$checkout" "$python" "$horovod_version"
    sha256sum "$checkout/requirements.lock"
}

wanted() { wanted_environment && sha256sum "$checkout/setup.py"; }

holds() { [[ -f $1 && $(<"$1") == "$2" ]]; }

is_set_up() { [[ -x $venv/bin/python ]] && holds "$stamp" "$(wanted)"; }

tensorflow() {   # the lock's, such as tensorflow-cpu-2.18.1
    sed -n -E 's/^(tensorflow(-cpu)?)(\[[^]]*\])?==([^ ;\]+).*/\1-\4/p' "$checkout/requirements.lock"
}

platform() { "$python" -c 'import sys, sysconfig; print("cp%d%d-%s" % (*sys.version_info[:2], sysconfig.get_platform()))'; }

# Wheels of everything in the lock, checked against its hashes once and kept for the next checkout.
collect_wheels() {   # -> $wheels
    wheels=$cache/wheels/lock-$(sha256sum "$checkout/requirements.lock" | cut -c1-16)-$(platform)
    if [[ -f $wheels/SHA256SUMS ]] && (cd "$wheels" && sha256sum --check --quiet SHA256SUMS >&2); then
        touch "$wheels"
        return
    fi
    say "fetching the wheels of requirements.lock (once for this lock, about 0.9 GB)"
    rm -rf "$wheels" "$wheels".part
    mkdir -p "$wheels".part
    "$venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --require-hashes \
        --requirement "$checkout/requirements.lock" --wheel-dir "$wheels".part >&2
    (cd "$wheels".part && sha256sum -- *.whl >SHA256SUMS)
    mv "$wheels".part "$wheels"
    find "$cache/wheels" -maxdepth 1 -name 'lock-*' -mtime +60 -exec rm -rf {} +
}

# Horovod speaks to the TensorFlow it was compiled against, and to no other.
build_horovod() {   # -> $horovod_wheel
    local folder
    folder=$cache/wheels/horovod-$horovod_version-$(tensorflow)-$(platform)
    if ! compgen -G "$folder/horovod-*.whl" >/dev/null; then
        say "compiling Horovod $horovod_version against TensorFlow (once for this machine, about 3 minutes)"
        local work
        work=$(mktemp -d "$cache/horovod.XXXXXX")
        printf 'horovod==%s --hash=%s\n' "$horovod_version" "$horovod_hash" >"$work/requirements.txt"
        if ! TMPDIR=$work PATH=$venv/bin:$PATH MAKEFLAGS=${MAKEFLAGS:--j$(nproc)} \
            HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
            "$venv/bin/python" -m pip wheel --disable-pip-version-check --no-deps --no-build-isolation \
            --no-binary horovod --no-cache-dir --require-hashes --requirement "$work/requirements.txt" \
            --wheel-dir "$work/wheel" >"$work/log" 2>&1; then
            tail -n 40 "$work/log" >&2
            fault "Horovod did not compile; its whole output is $work/log. Mend what it names, and call this again."
        fi
        rm -rf "$folder" "$folder".part
        mkdir -p "$folder".part
        cp "$work"/wheel/horovod-*.whl "$folder".part/
        mv "$folder".part "$folder"
        rm -rf "$work"
    fi
    horovod_wheel=$(compgen -G "$folder/horovod-*.whl" | head -1)
}

# uv links the unpacked wheels from the cache in seconds, where pip copies them in a minute.
link() {
    "$venv/bin/uv" --quiet --no-config --cache-dir "$cache/uv" pip install --offline --no-index --no-deps \
        --python "$venv/bin/python" "$@" >&2
}

set_up() {
    mkdir -p "$cache/wheels"
    exec 9>"$cache/setup.lock"
    if ! flock --nonblock 9; then
        say "waiting for another set-up on this machine to end"
        flock 9
    fi
    set -o errtrace
    trap 'fault "The set-up did not end well; what went wrong stands above. Mend it, and call this again."' ERR
    if ! is_set_up; then
        rebuild
    fi
    trap - ERR
    flock --unlock 9
    exec 9>&-
}

rebuild() {
    local seconds=$SECONDS
    if ! [[ -x $venv/bin/python ]] || ! holds "$stamp.environment" "$(wanted_environment)"; then
        make_environment
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
        --editable "$checkout" >&2
    wanted >"$stamp.part"
    mv "$stamp.part" "$stamp"
    say "set up in $((SECONDS - seconds)) s"
}

make_environment() {
    [[ ! -e $venv ]] || say "setting up again: the environment is unfinished, or belongs to another lock or place"
    rm -rf "$venv"
    say "setting up $venv"
    "$python" -m venv "$venv"
    local wheels horovod_wheel
    collect_wheels
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$wheels"/uv-*.whl >&2
    link "$wheels"/*.whl
    build_horovod
    link "$horovod_wheel"
    wanted_environment >"$stamp.part"
    mv "$stamp.part" "$stamp.environment"
}

# Delta's jars, resolved once by Spark itself; a folder of them in SALUS_JARS needs no network.
find_jars() {
    [[ -z ${SALUS_JARS:-} ]] || return 0
    local package folder spark_home
    package=$(sed -n 's/^DELTA_PACKAGE = "\(.*\)"/\1/p' "$checkout/lib/salus/session.py")
    folder=$cache/jars/${package//:/_}
    if [[ ! -d $folder ]]; then
        say "resolving $package (once for this machine)"
        local work
        work=$(mktemp -d "$cache/ivy.XXXXXX")
        echo 'pass' >"$work/nothing.py"
        spark_home=$("$venv/bin/python" -c 'import pyspark; print(pyspark.__path__[0])')
        if ! SPARK_HOME=$spark_home "$spark_home/bin/spark-submit" --master 'local[1]' --packages "$package" \
            --conf "spark.jars.ivy=$work/ivy" --conf spark.pyspark.python="$venv/bin/python" "$work/nothing.py" >"$work/log" 2>&1; then
            tail -n 20 "$work/log" >&2
            rm -rf "$work"
            fault "Spark could not resolve $package. Give its jars as a folder in SALUS_JARS, or connect to the network."
        fi
        mkdir -p "$cache/jars"
        mv --no-target-directory "$work/ivy/jars" "$folder" 2>/dev/null || [[ -d $folder ]]
        rm -rf "$work"
    fi
    export SALUS_JARS=$folder
}

# ---- what was asked for --------------------------------------------------------------------------------------

main() {
    local job=${1:-}
    case $job in
        '' | -h | --help) list_jobs; return ;;
        test | setup) ;;
        *) [[ -f $checkout/jobs/$job.py ]] || { list_jobs >&2; say "Received the job '$job'; expected one of the above."; exit 2; } ;;
    esac
    shift
    check_prerequisites
    if ! is_set_up; then
        set_up
    fi
    if [[ " $* " != *" --help "* ]]; then
        find_jars
    fi
    export SALUS_CONF=${SALUS_CONF:-$checkout/conf}
    case $job in
        setup) ;;
        # Two processes, each with a Spark session of its own; -n 0 runs all in one.
        test) cd "$checkout" && exec "$venv/bin/python" -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@" ;;
        shell) exec "$venv/bin/python" -m salus.launch shell "$@" ;;
        # The JVM warns of a module that Spark 4 itself asks for; nothing else is held back.
        *) exec "$venv/bin/python" -m salus.launch "$job" "$@" \
            2> >(trap '' INT TERM; exec grep --line-buffered -v 'Using incubator modules' >&2) ;;
    esac
}

main "$@"
