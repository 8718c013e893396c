#include "ops/factor_gram.h"

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {

void register_factor_gram(py::module_& module) {
    module.def(
        "factor_gram",
        [](const Array<float>& rows, int n_threads) {
            const auto table = held_matrix_in<float>(rows, "factor_gram", "rows");
            py::array_t<double> gram({table.cols, table.cols});
            const MatrixView<double> out{gram.mutable_data(), table.cols, table.cols, table.cols};
            {
                const ReleasedGil release;
                factor_gram(table, out, n_threads);
            }
            return gram;
        },
        py::arg("rows"), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
