#include "train/gradient_trainer.h"

#include "bind/backend/factor_trainer.h"
#include "bind/backend/register.h"

namespace fastcf::bind {

void register_gradient_trainer(py::module_& module) {
    auto keywords = factor_keywords<GradientConfig>();
    add_optimizer(keywords, false, &GradientConfig::optimizer);
    keywords.optional("batch_size", &GradientConfig::batch_size);
    register_factor_trainer<GradientTrainer>(module, "GradientTrainer", keywords);
}

}  // namespace fastcf::bind
