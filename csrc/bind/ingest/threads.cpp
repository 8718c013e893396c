#include "bind/ingest/register.h"
#include "bind/process.h"
#include "core/parallel.h"

namespace fastcf::bind {

void register_threads(pybind11::module_& module) {
    thread_pool = &own_thread_pool();
    module.attr(kThreadPool) = pybind11::capsule(thread_pool, kThreadPool);
    module.def("get_num_threads", [] { return thread_pool->default_threads(); });
    module.def(
        "set_num_threads", [](int threads) { thread_pool->set_default_threads(threads); }, pybind11::arg("threads"));
    module.def(
        "limit_calling_thread", [](int threads) { return thread_pool->limit_calling_thread(threads); },
        pybind11::arg("threads"));
}

}  // namespace fastcf::bind
