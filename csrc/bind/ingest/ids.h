// Arrays of ids across the language border.
#pragma once

#include "bind/arrays.h"
#include "ingest/ids.h"

namespace fastcf::bind {

IdArray ids_in(const py::object& object, const char* caller, const char* name);

}  // namespace fastcf::bind
