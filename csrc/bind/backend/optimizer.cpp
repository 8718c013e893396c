#include "ops/optimizer.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/names.h"

namespace fastcf::bind {
namespace {

// Arrays of one shape, of one dimension (a parameter per row) or two; null where None.
template <class T>
struct Rows {
    T* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
};

template <class T>
Rows<T> rows_in(const py::object& object, bool writable, const char* caller, const char* name) {
    if (object.is_none()) return {};
    const int ndim = py::isinstance<py::array>(object) ? static_cast<int>(py::array(object).ndim()) : 1;
    py::array array = checked_array<T>(object, ndim == 2 ? 2 : 1, writable, caller, name);
    return {static_cast<T*>(const_cast<void*>(array.data())), array.shape(0), ndim == 2 ? array.shape(1) : 1};
}

template <class T>
OptimizerRows<T> state_in(const Optimizer& optimizer, const Array<Real>& parameters, const ArrayOrNone<Real>& first,
                          const ArrayOrNone<Real>& second, const ArrayOrNone<std::int64_t>& row_steps,
                          const char* caller) {
    const auto p = rows_in<T>(parameters, true, caller, "parameters");
    check(p.data != nullptr || p.rows == 0, caller, ": parameters must be given");
    const auto kept = [&](const py::object& object, bool needed, const char* name) -> T* {
        if (!needed) return nullptr;
        const auto rows = rows_in<T>(object, true, caller, name);
        check(!object.is_none() && rows.rows == p.rows && rows.cols == p.cols, caller, ": ", name,
              " must have the shape of parameters");
        return rows.data;
    };
    OptimizerRows<T> state{p.data, nullptr, nullptr, nullptr, p.rows, p.cols, p.cols};
    state.first = kept(first, keeps_first(optimizer.kind), "first");
    state.second = kept(second, keeps_second(optimizer.kind), "second");
    if (!row_steps.is_none()) {
        const auto steps = vector_out<std::int64_t>(row_steps, caller, "row_steps");
        check(steps.size == p.rows, caller, ": row_steps must have ", p.rows, " entries; got ", steps.size);
        state.row_steps = steps.data;
    }
    return state;
}

template <class T>
void step(const Optimizer& optimizer, double learning_rate, std::int64_t number, const Array<Real>& parameters,
          const Array<Real>& gradient, const ArrayOrNone<Real>& first, const ArrayOrNone<Real>& second,
          const ArrayOrNone<std::int32_t>& rows, const ArrayOrNone<std::int64_t>& row_steps, int n_threads) {
    const char* caller = "optimizer_step";
    const OptimizerRows<T> state = state_in<T>(optimizer, parameters, first, second, row_steps, caller);
    const auto g = rows_in<T>(gradient, false, caller, "gradient");
    const bool sparse = !rows.is_none();
    const auto named = optional_vector_in<std::int32_t>(rows, caller, "rows");
    check(sparse == (state.row_steps != nullptr), caller, ": rows and row_steps must be given together");
    check(g.rows == (sparse ? named.size : state.rows) && (g.cols == state.cols || g.rows == 0), caller,
          ": gradient must have ", sparse ? named.size : state.rows, " rows of ", state.cols, "; got ", g.rows, " of ",
          g.cols);
    const ReleasedGil release;
    if (sparse)
        optimizer_step_rows<T>(optimizer, learning_rate, number, state, named, g.data, g.cols, n_threads);
    else
        optimizer_step<T>(optimizer, learning_rate, number, state.rows * state.cols, state.parameters, g.data,
                          state.first, state.second, n_threads);
}

template <class T>
void flush(const Optimizer& optimizer, std::int64_t number, const Array<Real>& parameters,
           const ArrayOrNone<Real>& first, const ArrayOrNone<Real>& second, const ArrayOrNone<std::int64_t>& row_steps,
           int n_threads) {
    const char* caller = "optimizer_flush";
    const OptimizerRows<T> state = state_in<T>(optimizer, parameters, first, second, row_steps, caller);
    check(state.row_steps != nullptr, caller, ": row_steps must be given");
    const ReleasedGil release;
    optimizer_flush<T>(optimizer, number, state, n_threads);
}

Optimizer optimizer_in(const std::string& name, double decay, double second_decay, double epsilon, double weight_decay,
                       double learning_rate, const char* caller) {
    Optimizer optimizer;
    optimizer.kind = named<OptimizerKind>(name, caller, "name");
    optimizer.decay = decay;
    optimizer.second_decay = second_decay;
    optimizer.epsilon = epsilon;
    optimizer.weight_decay = weight_decay;
    optimizer.coasting_rate = learning_rate;
    check_optimizer(optimizer, caller);
    return optimizer;
}

}  // namespace

void register_optimizer(py::module_& module) {
    module.def(
        "optimizer_step",
        [](const std::string& name, double decay, double second_decay, double epsilon, double learning_rate,
           std::int64_t number, const Array<Real>& parameters, const Array<Real>& gradient,
           const ArrayOrNone<Real>& first, const ArrayOrNone<Real>& second, const ArrayOrNone<std::int32_t>& rows,
           const ArrayOrNone<std::int64_t>& row_steps, double weight_decay, int n_threads) {
            const Optimizer optimizer =
                optimizer_in(name, decay, second_decay, epsilon, weight_decay, learning_rate, "optimizer_step");
            const auto run = is_double(parameters) ? step<double> : step<float>;
            run(optimizer, learning_rate, number, parameters, gradient, first, second, rows, row_steps, n_threads);
        },
        py::arg("name"), py::arg("decay"), py::arg("second_decay"), py::arg("epsilon"), py::arg("learning_rate"),
        py::arg("step"), py::arg("parameters"), py::arg("gradient"), py::arg("first") = py::none(),
        py::arg("second") = py::none(), py::arg("rows") = py::none(), py::arg("row_steps") = py::none(),
        py::arg("weight_decay") = 0.0, py::arg("n_threads") = 0);
    module.def(
        "optimizer_flush",
        [](const std::string& name, double decay, double second_decay, double epsilon, std::int64_t number,
           const Array<Real>& parameters, const ArrayOrNone<Real>& first, const ArrayOrNone<Real>& second,
           const ArrayOrNone<std::int64_t>& row_steps, double weight_decay, double learning_rate, int n_threads) {
            const Optimizer optimizer =
                optimizer_in(name, decay, second_decay, epsilon, weight_decay, learning_rate, "optimizer_flush");
            const auto run = is_double(parameters) ? flush<double> : flush<float>;
            run(optimizer, number, parameters, first, second, row_steps, n_threads);
        },
        py::arg("name"), py::arg("decay"), py::arg("second_decay"), py::arg("epsilon"), py::arg("step"),
        py::arg("parameters"), py::arg("first") = py::none(), py::arg("second") = py::none(),
        py::arg("row_steps") = py::none(), py::arg("weight_decay") = 0.0, py::arg("learning_rate") = 0.0,
        py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
