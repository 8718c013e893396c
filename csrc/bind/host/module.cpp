// The host module: what runs on the host whatever device trains, because it is small, or bound by memory of the host.
#include "bind/blas.h"
#include "bind/host/register.h"
#include "bind/process.h"

PYBIND11_MODULE(_host, module) {
    fastcf::bind::install_process_hooks();
    fastcf::bind::borrow_thread_pool();
    fastcf::bind::find_blas();
    fastcf::bind::register_candidates(module);
    fastcf::bind::register_feature_effects(module);
    fastcf::bind::register_list_measures(module);
    fastcf::bind::register_perceptron(module);
    fastcf::bind::register_regression(module);
}
