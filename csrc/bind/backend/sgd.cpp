#include "bind/backend/factor_trainer.h"
#include "bind/backend/register.h"
#include "train/sgd_trainer.h"

namespace fastcf::bind {

void register_sgd(py::module_& module) {
    auto keywords = factor_keywords<SgdConfig>();
    keywords.optional("deterministic", &SgdConfig::deterministic).optional("storage", &SgdConfig::storage);
    register_factor_trainer<SgdTrainer>(module, "SgdTrainer", keywords);
}

}  // namespace fastcf::bind
