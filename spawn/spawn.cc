#include "spawn.h"

#include "base/text.h"
#include "config/config.h"
#include "config/values.h"
#include "delivery/service_user.h"
#include "log/log.h"
#include "os/files.h"

#include <sys/wait.h>

#include <span>

#include <fmt/format.h>

namespace bulkhead
{

Result<SpawnAttributes> SpawnAttributes::parse(std::span<const std::string> arguments)
{
    constexpr std::string_view user = "user=";
    constexpr std::string_view argv = "argv=";
    SpawnAttributes attributes;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view word = arguments[i];
        if (word.starts_with(user)) {
            attributes.user = word.substr(user.size());
        } else if (word.starts_with(argv)) {
            if (word.size() > argv.size())
                attributes.words.emplace_back(without_braces(word.substr(argv.size())));
            attributes.words.insert(attributes.words.end(),
                                    arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
            break;
        } else {
            return Error{Fault::config, fmt::format("unknown attribute: {}", printable(word))};
        }
    }
    if (attributes.user.empty() || attributes.words.empty())
        return Error{Fault::config,
                     fmt::format("missing {} command-line attribute", attributes.user.empty() ? user : argv)};
    return attributes;
}

Result<> Spawn::before_jail()
{
    auto attributes = SpawnAttributes::parse(arguments());
    if (!attributes)
        return Error{Fault::config,
                     fmt::format("service {}: {}", service_name(), attributes.error().context)};
    TRY(command_.user, service_user(attributes->user, common().mail_owner()));
    TRY(const std::int64_t limit,
        parse_seconds(config().transport_value(service_name(), "_time_limit"), 's'));
    time_limit_ = Seconds(limit);
    command_.words = std::move(attributes->words);
    command_.environment = exported_environment(params_.export_environment());
    TRY(CommandStarter starter, CommandStarter::create({{}, {command_.user}, "spawn"}));
    starter_.emplace(std::move(starter));
    return {};
}

Task<bool> Spawn::ends_in_time(int link)
{
    Condition ended;
    ReadWatch watch(link, [&] { ended.notify_all(); });
    watch.enable();
    const Milliseconds limit = time_limit_;
    const bool in_time = co_await ended.wait_for(limit);
    co_return in_time;
}

Task<> Spawn::serve(Session& session)
{
    const int fd = session.stream.fd();
    (void)set_nonblocking(fd, false); // as the command expects it
    auto started = starter_->start(command_, fd, fd, fd);
    if (!started) {
        log::warn(fmt::format("service {}: {}", service_name(), started.error().context));
        co_return;
    }
    const bool in_time = co_await ends_in_time(started->fd());
    if (!in_time) {
        log::warn(fmt::format("service {}: command time limit exceeded: {}", service_name(),
                              command_.words.front()));
        started->kill();
        co_return;
    }
    const auto end = started->end();
    if (!end)
        log::warn(fmt::format("service {}: {}", service_name(), end.error().context));
    else if (WIFSIGNALED(end->wait_status))
        log::warn(fmt::format("command {} killed by signal {}", command_.words.front(),
                              WTERMSIG(end->wait_status)));
    else if (WEXITSTATUS(end->wait_status) != 0)
        log::warn(
            fmt::format("command {} exit status {}", command_.words.front(), WEXITSTATUS(end->wait_status)));
}

} // namespace bulkhead
