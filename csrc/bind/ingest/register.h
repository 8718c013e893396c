// One register_…() per file of this folder.
#pragma once

#include <pybind11/pybind11.h>

namespace fastcf::bind {

}  // namespace fastcf::bind
