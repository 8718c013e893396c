// One register_…() per file of this folder.
#pragma once

#include <pybind11/pybind11.h>

namespace fastcf::bind {

void register_candidates(pybind11::module_& module);
void register_feature_effects(pybind11::module_& module);
void register_list_measures(pybind11::module_& module);
void register_perceptron(pybind11::module_& module);
void register_regression(pybind11::module_& module);

}  // namespace fastcf::bind
