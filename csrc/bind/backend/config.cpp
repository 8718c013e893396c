#include "bind/backend/register.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace fastcf::bind {

void register_config(pybind11::module_& module) {
    module.def("config", [] {
        pybind11::dict config;
        config["isa"] = isa_name(active_isa());
        config["best_isa"] = isa_name(best_isa());
        config["threads"] = resolve_threads(0);
        config["compiler"] = __VERSION__;
        return config;
    });
}

}  // namespace fastcf::bind
