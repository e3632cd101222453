// The worker: one process for all clients of the port.
#pragma once

#include "params.h"
#include "service.h"

#include "async/scope.h"
#include "async/task.h"
#include "worker/worker.h"

#include <memory>
#include <string>

namespace bulkhead
{

class Postscreen final : public Worker
{
public:
    Postscreen();
    ~Postscreen() override;

    ParamSet& params() override { return params_; }
    JailPolicy jail_policy() const override;
    Result<> before_jail() override;
    Result<> after_jail() override;
    Task<> serve(Session& client) override;
    bool is_idle() const override { return service_.open_questions == 0 && !cleaning_; }

private:
    Result<> open_lists();
    Result<> open_cache();
    Result<> choose_pace();
    void open_tls();
    Result<> read_actions();
    std::string own_text(const Param<RawText>& param) const;
    Error bad(const ParamBase& param, std::string_view reason) const;
    void hand_over_if_stale();
    static Task<> clean(Postscreen* self);
    void clean_later();

    PostscreenParams params_;
    ScreenService service_{params_};
    SteadyTime tables_checked_{};
    bool cleaning_ = false;
    Timer clean_timer_;
    Scope scope_;
};

} // namespace bulkhead
