#include "train/als_trainer.h"

#include "bind/backend/factor_trainer.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {

void register_als_trainer(py::module_& module) {
    const char* name = "AlsTrainer";
    auto keywords = factor_keywords<AlsConfig>();
    keywords.optional("cg_steps", &AlsConfig::cg_steps);
    register_factor_trainer<AlsTrainer>(module, name)
        .def(py::init([name, keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& values, std::int64_t n_items,
                                       const ArrayOrNone<float>& weights, const ArrayOrNone<float>& item_offset,
                                       const Array<std::int64_t>& item_indptr, const Array<std::int32_t>& item_users,
                                       const Array<float>& item_values, const ArrayOrNone<float>& item_weights,
                                       const py::kwargs& settings) {
                 const CsrView ratings = csr_in(indptr, indices, values, n_items, name);
                 const auto weight_view = optional_vector_in<float>(weights, name, "weights");
                 const auto offset_view = optional_vector_in<float>(item_offset, name, "item_offset");
                 const auto offsets = vector_in<std::int64_t>(item_indptr, name, "item_indptr");
                 const auto users = vector_in<std::int32_t>(item_users, name, "item_users");
                 const auto given = vector_in<float>(item_values, name, "item_values");
                 check(offsets.size >= 1, name, ": item_indptr must have at least one entry; got 0");
                 check(given.size == users.size, name, ": item_values must have as many entries as item_users (",
                       users.size, "); got ", given.size);
                 const CsrView by_item{offsets.data, users.data, given.data, offsets.size - 1, 0, users.size};
                 const auto item_weight_view = optional_vector_in<float>(item_weights, name, "item_weights");
                 const AlsConfig config = keywords.read(settings, name);
                 const ReleasedGil release;
                 return std::make_unique<AlsTrainer>(ratings, weight_view, offset_view, by_item, item_weight_view,
                                                     config);
             }),
             keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"),
             py::kw_only(), py::arg("weights") = py::none(), py::arg("item_offset") = py::none(),
             py::arg("item_indptr"), py::arg("item_users"), py::arg("item_values"),
             py::arg("item_weights") = py::none());
}

}  // namespace fastcf::bind
