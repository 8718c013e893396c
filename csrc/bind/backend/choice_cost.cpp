#include "ops/choice_cost.h"

#include <string>

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/names.h"

namespace fastcf::bind {
namespace {

struct SampledArguments {
    const py::object &users, &items, &drawn, &weights, &correction, &user_factors, &item_factors, &item_bias;
    const py::object &user_gradient, &item_gradient, &bias_gradient;
    const std::string& cost;
    double reg, reg_exponent;
    int n_threads;
};

template <class T>
double run_sampled(const SampledArguments& in, const char* caller) {
    SampledProblem<T> problem;
    problem.user_factors = matrix_in<T>(in.user_factors, caller, "user_factors");
    problem.item_factors = matrix_in<T>(in.item_factors, caller, "item_factors");
    problem.item_bias = optional_vector_in<T>(in.item_bias, caller, "item_bias");
    problem.users = vector_in<std::int32_t>(in.users, caller, "users");
    problem.items = vector_in<std::int32_t>(in.items, caller, "items");
    problem.drawn = matrix_in<std::int32_t>(in.drawn, caller, "drawn");
    problem.weights = vector_in<T>(in.weights, caller, "weights");
    problem.correction = vector_in<T>(in.correction, caller, "correction");
    problem.cost = named<SampledCost>(in.cost, caller, "cost");
    problem.reg = in.reg;
    problem.reg_exponent = in.reg_exponent;
    SampledGradient<T> gradient;
    const bool wanted = !in.user_gradient.is_none();
    check(wanted == !in.item_gradient.is_none(), caller, ": user_gradient and item_gradient must be given together");
    check((wanted && !in.item_bias.is_none()) == !in.bias_gradient.is_none(), caller,
          ": bias_gradient must be given where item_bias and the other gradients are, and only there");
    if (wanted) {
        gradient.user_factors = matrix_out<T>(in.user_gradient, caller, "user_gradient");
        gradient.item_factors = matrix_out<T>(in.item_gradient, caller, "item_gradient");
        const auto same = [&](const auto& own, const auto& other, const char* name) {
            check(own.rows == other.rows && own.cols == other.cols, caller, ": ", name, " must have shape (",
                  other.rows, ", ", other.cols, "); got (", own.rows, ", ", own.cols, ")");
        };
        same(gradient.user_factors, problem.user_factors, "user_gradient");
        same(gradient.item_factors, problem.item_factors, "item_gradient");
        if (!in.bias_gradient.is_none()) gradient.item_bias = vector_out<T>(in.bias_gradient, caller, "bias_gradient");
        check(in.bias_gradient.is_none() || gradient.item_bias.size == problem.item_bias.size, caller,
              ": bias_gradient must have ", problem.item_bias.size, " entries; got ", gradient.item_bias.size);
    }
    const ReleasedGil release;
    check_sampled(problem, caller);
    return wanted ? choice_cost_and_gradient(problem, gradient, in.n_threads) : choice_cost(problem, in.n_threads);
}

double choice_cost_arrays(const Array<std::int32_t>& users, const Array<std::int32_t>& items,
                          const Array<std::int32_t>& drawn, const Array<Real>& weights, const Array<Real>& correction,
                          const Array<Real>& user_factors, const Array<Real>& item_factors,
                          const ArrayOrNone<Real>& item_bias, const std::string& cost, double reg, double reg_exponent,
                          const ArrayOrNone<Real>& user_gradient, const ArrayOrNone<Real>& item_gradient,
                          const ArrayOrNone<Real>& bias_gradient, int n_threads) {
    const SampledArguments in{users,         items,        drawn,     weights,       correction,
                              user_factors,  item_factors, item_bias, user_gradient, item_gradient,
                              bias_gradient, cost,         reg,       reg_exponent,  n_threads};
    return is_double(user_factors) ? run_sampled<double>(in, "choice_cost") : run_sampled<float>(in, "choice_cost");
}

}  // namespace

void register_choice_cost(py::module_& module) {
    module.def("choice_cost", &choice_cost_arrays, py::arg("users"), py::arg("items"), py::arg("drawn"),
               py::arg("weights"), py::arg("correction"), py::arg("user_factors"), py::arg("item_factors"),
               py::arg("item_bias") = py::none(), py::kw_only(), py::arg("cost"), py::arg("reg") = 0.0,
               py::arg("reg_exponent") = 0.0, py::arg("user_gradient") = py::none(),
               py::arg("item_gradient") = py::none(), py::arg("bias_gradient") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
