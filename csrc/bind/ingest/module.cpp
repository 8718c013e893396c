// The ingest module: what turns files and arrays into ratings. Host only, whatever device trains.
#include "bind/ingest/register.h"
#include "bind/process.h"

PYBIND11_MODULE(_ingest, module) {
    fastcf::bind::install_process_hooks();
    fastcf::bind::register_csr(module);
    fastcf::bind::register_events(module);
    fastcf::bind::register_ids(module);
    fastcf::bind::register_netflix(module);
    fastcf::bind::register_synth(module);
    fastcf::bind::register_text(module);
    fastcf::bind::register_text_ids(module);
    fastcf::bind::register_threads(module);
}
