// What the emulated backend has beside the functions of every backend.
#pragma once

#include <pybind11/pybind11.h>

namespace fastcf::bind {

void register_emulation(pybind11::module_& module);

}  // namespace fastcf::bind
