// One register_…() per file of this folder.
#pragma once

#include <pybind11/pybind11.h>

namespace fastcf::bind {

void register_csr(pybind11::module_& module);
void register_events(pybind11::module_& module);
void register_ids(pybind11::module_& module);
void register_netflix(pybind11::module_& module);
void register_synth(pybind11::module_& module);
void register_text(pybind11::module_& module);
void register_text_ids(pybind11::module_& module);
void register_threads(pybind11::module_& module);

}  // namespace fastcf::bind
