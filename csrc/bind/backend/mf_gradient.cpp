#include "ops/mf_gradient.h"

#include <string>

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/names.h"
#include "core/parallel.h"

namespace fastcf::bind {
namespace {

// What Python hands over; None where absent.
struct Arguments {
    py::object indptr, indices, values, weights, item_indptr, item_users, item_entries;
    py::object user_factors, item_factors, user_bias, item_bias, item_offset;
    py::object user_reg, item_reg, user_bias_reg, item_bias_reg;
    double global_offset;
    std::string cost;
};

template <class T>
struct Problem {
    MfRatings<T> ratings;
    MfObjective<T> objective;
    MfParameters<const T> at;
    std::int64_t nnz;
};

// Views of arrays whose shapes agree; bounds are checked later, without the GIL.
template <class T>
Problem<T> problem_in(const Arguments& in, bool by_item, const char* caller) {
    Problem<T> problem{};
    const auto p = matrix_in<T>(in.user_factors, caller, "user_factors");
    const auto q = matrix_in<T>(in.item_factors, caller, "item_factors");
    check(p.cols == q.cols, caller, ": user_factors and item_factors must have as many columns; got ", p.cols, " and ",
          q.cols);
    const auto sized = [&](const auto& view, std::int64_t size, const char* name) {
        check(view.size == size, caller, ": ", name, " must have ", size, " entries; got ", view.size);
        return view.data;
    };
    const auto optional = [&](const py::object& object, std::int64_t size, const char* name) -> const T* {
        return object.is_none() ? nullptr : sized(vector_in<T>(object, caller, name), size, name);
    };
    const auto indices = vector_in<std::int32_t>(in.indices, caller, "indices");
    problem.nnz = indices.size;
    MfRatings<T>& ratings = problem.ratings;
    ratings.n_users = p.rows;
    ratings.n_items = q.rows;
    ratings.indptr = sized(vector_in<std::int64_t>(in.indptr, caller, "indptr"), p.rows + 1, "indptr");
    ratings.items = indices.data;
    problem.at = {
        p.data, q.data, optional(in.user_bias, p.rows, "user_bias"), optional(in.item_bias, q.rows, "item_bias"),
        p.cols, p.cols};
    check(in.user_bias.is_none() == in.item_bias.is_none(), caller, ": user_bias and item_bias must be given together");
    problem.objective.loss = named<Loss>(in.cost, caller, "cost");
    problem.objective.item_offset = optional(in.item_offset, q.rows, "item_offset");
    problem.objective.global_offset = static_cast<T>(in.global_offset);
    if (!by_item) return problem;
    ratings.values = sized(vector_in<T>(in.values, caller, "values"), problem.nnz, "values");
    ratings.weights = optional(in.weights, problem.nnz, "weights");
    ratings.item_indptr =
        sized(vector_in<std::int64_t>(in.item_indptr, caller, "item_indptr"), q.rows + 1, "item_indptr");
    ratings.users = sized(vector_in<std::int32_t>(in.item_users, caller, "item_users"), problem.nnz, "item_users");
    ratings.item_entries =
        sized(vector_in<std::int64_t>(in.item_entries, caller, "item_entries"), problem.nnz, "item_entries");
    problem.objective.user_reg = optional(in.user_reg, p.rows, "user_reg");
    problem.objective.item_reg = optional(in.item_reg, q.rows, "item_reg");
    problem.objective.user_bias_reg = optional(in.user_bias_reg, p.rows, "user_bias_reg");
    problem.objective.item_bias_reg = optional(in.item_bias_reg, q.rows, "item_bias_reg");
    return problem;
}

// Throws unless both orders are compressed structures of `nnz` ratings, and indices and positions are in range: then
// nothing reads or writes out of bounds. That both describe the same ratings is not checked.
template <class T>
void check_ratings(const MfRatings<T>& ratings, std::int64_t nnz, int n_threads, const char* caller) {
    const auto structure = [&](const std::int64_t* indptr, std::int64_t rows, const char* name) {
        CsrView view;
        view.indptr = indptr;
        view.rows = rows;
        check_indptr(view, nnz, concat(caller, ": ", name).c_str());
    };
    structure(ratings.indptr, ratings.n_users, "by user");
    if (ratings.item_indptr != nullptr) structure(ratings.item_indptr, ratings.n_items, "by item");
    const auto range = [&](const auto* values, std::int64_t limit, const char* name) {
        if (values == nullptr) return;
        parallel_chunks(nnz, std::int64_t{1} << 18, threads_for(nnz, n_threads),
                        [&](std::int64_t begin, std::int64_t end, int) {
                            bool valid = true;  // without a branch first: vector code for the usual case
                            for (std::int64_t e = begin; e < end; ++e) valid &= values[e] >= 0 && values[e] < limit;
                            for (std::int64_t e = begin; !valid && e < end; ++e)
                                check(values[e] >= 0 && values[e] < limit, caller, ": ", name, " must lie in [0, ",
                                      limit, "); got ", values[e], " at entry ", e);
                        });
    };
    range(ratings.items, ratings.n_items, "indices");
    range(ratings.users, ratings.n_users, "item_users");
    range(ratings.item_entries, nnz, "item_entries");
}

using Gradient =
    Tuple<py::float_, py::float_, Array<Real>, Array<Real>, ArrayOrNone<Real>, ArrayOrNone<Real>, Array<Real>>;

template <class T>
Gradient gradient_arrays(const Arguments& in, int n_threads) {
    const char* caller = "mf_gradient";
    const Problem<T> problem = problem_in<T>(in, true, caller);
    const std::int64_t n_users = problem.ratings.n_users, n_items = problem.ratings.n_items, k = problem.at.k;
    const bool bias = problem.at.user_bias != nullptr;
    py::array_t<T> dp({n_users, k}), dq({n_items, k}), db_u(bias ? n_users : 0), db_i(bias ? n_items : 0);
    py::array_t<T> errors(problem.nnz);
    const MfParameters<T> gradient{dp.mutable_data(),
                                   dq.mutable_data(),
                                   bias ? db_u.mutable_data() : nullptr,
                                   bias ? db_i.mutable_data() : nullptr,
                                   k,
                                   k};
    T* e = errors.mutable_data();
    MfCost cost;
    {
        const ReleasedGil release;
        check_ratings(problem.ratings, problem.nnz, n_threads, caller);
        cost = mf_gradient(problem.ratings, problem.objective, problem.at, gradient, e, n_threads);
    }
    const py::object none = py::none();
    return py::make_tuple(cost.loss, cost.penalty, dp, dq, bias ? py::object(db_u) : none,
                          bias ? py::object(db_i) : none, errors);
}

template <class T>
Array<Real> predict_array(const Arguments& in, int n_threads) {
    const char* caller = "mf_predict";
    const Problem<T> problem = problem_in<T>(in, false, caller);
    py::array_t<T> out(problem.nnz);
    T* z = out.mutable_data();
    {
        const ReleasedGil release;
        check_ratings(problem.ratings, problem.nnz, n_threads, caller);
        mf_predict(problem.ratings, problem.objective, problem.at, z, n_threads);
    }
    return out;
}

}  // namespace

void register_mf_gradient(py::module_& module) {
    module.def(
        "mf_gradient",
        [](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<Real>& values,
           const Array<std::int64_t>& item_indptr, const Array<std::int32_t>& item_users,
           const Array<std::int64_t>& item_entries, const Array<Real>& user_factors, const Array<Real>& item_factors,
           const ArrayOrNone<Real>& user_bias, const ArrayOrNone<Real>& item_bias, const ArrayOrNone<Real>& weights,
           const ArrayOrNone<Real>& item_offset, double global_offset, const std::string& cost,
           const ArrayOrNone<Real>& user_reg, const ArrayOrNone<Real>& item_reg, const ArrayOrNone<Real>& user_bias_reg,
           const ArrayOrNone<Real>& item_bias_reg, int n_threads) {
            const Arguments in{indptr,       indices,      values,        weights,       item_indptr,   item_users,
                               item_entries, user_factors, item_factors,  user_bias,     item_bias,     item_offset,
                               user_reg,     item_reg,     user_bias_reg, item_bias_reg, global_offset, cost};
            return is_double(user_factors) ? gradient_arrays<double>(in, n_threads)
                                           : gradient_arrays<float>(in, n_threads);
        },
        py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("item_indptr"), py::arg("item_users"),
        py::arg("item_entries"), py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias") = py::none(),
        py::arg("item_bias") = py::none(), py::kw_only(), py::arg("weights") = py::none(),
        py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0, py::arg("cost") = "squared",
        py::arg("user_reg") = py::none(), py::arg("item_reg") = py::none(), py::arg("user_bias_reg") = py::none(),
        py::arg("item_bias_reg") = py::none(), py::arg("n_threads") = 0);
    module.def(
        "mf_predict",
        [](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<Real>& user_factors,
           const Array<Real>& item_factors, const ArrayOrNone<Real>& user_bias, const ArrayOrNone<Real>& item_bias,
           const ArrayOrNone<Real>& item_offset, double global_offset, const std::string& cost, int n_threads) {
            Arguments in{};
            in.indptr = indptr;
            in.indices = indices;
            in.user_factors = user_factors;
            in.item_factors = item_factors;
            in.user_bias = user_bias;
            in.item_bias = item_bias;
            in.item_offset = item_offset;
            in.global_offset = global_offset;
            in.cost = cost;
            return is_double(user_factors) ? predict_array<double>(in, n_threads) : predict_array<float>(in, n_threads);
        },
        py::arg("indptr"), py::arg("indices"), py::arg("user_factors"), py::arg("item_factors"),
        py::arg("user_bias") = py::none(), py::arg("item_bias") = py::none(), py::kw_only(),
        py::arg("item_offset") = py::none(), py::arg("global_offset") = 0.0, py::arg("cost") = "squared",
        py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
