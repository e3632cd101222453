// spawn: runs a command for each connection, which is the command's standard input, output
// and error: policy servers and other scripts that speak for themselves.
#pragma once

#include "params.h"

#include "async/wait.h"
#include "delivery/command_starter.h"
#include "worker/worker.h"

#include <optional>

namespace bulkhead
{

// user= and argv= of the service's line in master.cf.  Fault::config: one is missing, or there
// is something else.
struct SpawnAttributes {
    std::string user;
    std::vector<std::string> words;

    static Result<SpawnAttributes> parse(std::span<const std::string> arguments);
};

class Spawn final : public Worker
{
public:
    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Task<> serve(Session& session) override;

private:
    // False when the time was over first.
    Task<bool> ends_in_time(int link);

    SpawnParams params_;
    Command command_;
    Seconds time_limit_{0};
    std::optional<CommandStarter> starter_;
};

} // namespace bulkhead
