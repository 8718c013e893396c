#include "ops/spd_inverse.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

std::int64_t invert_array(const Array<float>& a, int n_threads) {
    const auto view = matrix_out<float>(a, "spd_inverse", "a");
    const ReleasedGil release;
    return spd_inverse(view, n_threads);
}

}  // namespace

void register_spd_inverse(py::module_& module) {
    module.def("spd_inverse", &invert_array, py::arg("a"), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
