#include <pybind11/stl.h>

#include <string>

#include "bind/emu/register.h"
#include "bind/gil.h"
#include "emu/faults.h"
#include "emu/launch.h"
#include "emu/memory.h"

namespace fastcf::bind {

void register_emulation(pybind11::module_& module) {
    namespace py = pybind11;
    py::module_ emulation = module.def_submodule("emulation");
    emulation.def(
        "set_order",
        [](const std::string& order, std::uint64_t seed) {
            check(order == "forward" || order == "backward" || order == "shuffled",
                  "set_order: order must be 'forward', 'backward' or 'shuffled'; got '", order, "'");
            emu::set_order(order == "forward"    ? emu::Order::forward
                           : order == "backward" ? emu::Order::backward
                                                 : emu::Order::shuffled,
                           seed);
        },
        py::arg("order"), py::arg("seed") = 0);
    emulation.def(
        "set_memory",
        [](std::int64_t bytes) {
            check(bytes >= 0, "set_memory: bytes must not be negative; got ", bytes);
            emu::set_memory(bytes);
        },
        py::arg("bytes") = emu::kDefaultMemory);
    emulation.def("planted_faults", &emu::planted_faults);
    emulation.def("run_planted", &emu::run_planted, py::arg("name"), py::call_guard<ReleasedGil>());
}

}  // namespace fastcf::bind
