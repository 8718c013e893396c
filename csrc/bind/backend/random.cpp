#include "bind/backend/random.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

py::array_t<float> random_array(std::int64_t rows, std::int64_t cols, const std::string& distribution, double scale,
                                std::uint64_t seed, std::uint64_t stream, int n_threads) {
    const Distribution kind = check_random(rows, cols, distribution, scale);
    py::array_t<float> out({rows, cols});
    const VectorView<float> view{out.mutable_data(), rows * cols};
    {
        const ReleasedGil release;
        random_fill(kind, seed, stream, static_cast<float>(scale), view, n_threads);
    }
    return out;
}

}  // namespace

void register_random(py::module_& module) {
    module.def("random", &random_array, py::arg("rows"), py::arg("cols"), py::arg("distribution"), py::arg("scale"),
               py::arg("seed"), py::arg("stream") = 0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
