#include "route_command.h"

#include "async/address.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "route_finder.h"
#include "spool_environment.h"

#include <sysexits.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr const char* usage_text =
    R"(usage: bulkhead [-c DIR] route --to ADDRESS [--from ADDRESS] [--env ENV]
                [--client IP] [--login USER] [--service NAME] [--json]

Tells which way a message would take, and which table or parameter says so.
  --env ENV       the environment of this name (multi_instance_name; default: that of DIR)
  --from ADDRESS  the envelope sender; <> or nothing is the null sender
  --client IP     the client that brings it by SMTP; without it and --login: local submission
  --login USER    the client has logged in as USER
  --service NAME  the service of master.cf that the client talks to (default: the first smtpd)
)";

struct Order {
    std::optional<std::string> environment;
    std::optional<std::string> from;
    std::optional<std::string> to;
    std::optional<std::string> client;
    std::optional<std::string> login;
    std::optional<std::string> service;
    bool json = false;
    bool help = false;
};

int complain(int code, std::string_view text)
{
    fmt::print(stderr, "bulkhead: fatal: route: {}\n", printable(text, true));
    return code;
}

Result<Order> parse(std::span<char*> arguments)
{
    Order order;
    struct Option {
        std::string_view name;
        std::optional<std::string>& value;
    };
    const std::array<Option, 6> options = {{{"--env", order.environment},
                                            {"--from", order.from},
                                            {"--to", order.to},
                                            {"--client", order.client},
                                            {"--login", order.login},
                                            {"--service", order.service}}};
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view word = arguments[i];
        if (word == "--json" || word == "--help") {
            (word == "--json" ? order.json : order.help) = true;
            continue;
        }
        const auto equals = word.find('=');
        const auto* option = std::ranges::find(options, word.substr(0, equals), &Option::name);
        if (option == options.end())
            return Error{Fault::malformed, fmt::format("unknown option {}", word)};
        if (equals == word.npos && ++i >= arguments.size())
            return Error{Fault::malformed, fmt::format("{} needs a value", word)};
        option->value = equals == word.npos ? arguments[i] : std::string(word.substr(equals + 1));
    }
    if (!order.help && !order.to)
        return Error{Fault::malformed, "--to is missing"};
    return order;
}

// "a@b", "<a@b>", "\"a b\"@c" in internal form.
Result<std::string> address_of(std::string_view text)
{
    constexpr std::size_t longest = 1000;
    const bool bracketed = text.starts_with('<') && text.ends_with('>');
    const std::string_view bare = bracketed ? text.substr(1, text.size() - 2) : text;
    const auto internal = unquote(bare);
    const bool strange =
        std::ranges::any_of(bare, [](char c) { return static_cast<unsigned char>(c) < ' '; });
    if (!internal || strange || bare.size() > longest || bare.find_first_of("<>") != bare.npos)
        return Error{Fault::malformed, fmt::format("bad address \"{}\"", text)};
    return internal;
}

// The folder of the environment of that name; Fault::not_found.
Result<std::string> folder_of(const std::string& primary, const std::string& name)
{
    TRY(const std::vector<std::string> directories, environment_directories(primary));
    for (const std::string& directory : directories) {
        const auto config = Config::load(directory, {}, "bulkhead");
        if (!config)
            continue;
        const std::string own = config->get("multi_instance_name");
        if (own == name || (own.empty() && name == "-" && directory == primary))
            return directory;
    }
    return Error{Fault::not_found, fmt::format("there is no environment {} at {}", name, primary)};
}

int code_of(const Error& error)
{
    return error.fault == Fault::not_found ? EX_NOINPUT : EX_CONFIG;
}

} // namespace

int route_command(const std::string& directory, std::span<char*> arguments)
{
    const auto order = parse(arguments);
    if (!order || order->help) {
        if (!order)
            (void)complain(EX_USAGE, order.error().context);
        fmt::print(order ? stdout : stderr, "{}", usage_text);
        return order ? 0 : EX_USAGE;
    }
    RouteQuestion question;
    const auto recipient = address_of(*order->to);
    const auto sender = address_of(order->from.value_or(""));
    if (!recipient || recipient->empty())
        return complain(EX_DATAERR, recipient ? "the recipient is empty" : recipient.error().context);
    if (!sender)
        return complain(EX_DATAERR, sender.error().context);
    if (order->client && !SocketAddress::parse(*order->client))
        return complain(EX_DATAERR, fmt::format("bad client address \"{}\"", *order->client));
    question.recipient = *recipient;
    question.sender = *sender;
    question.client = order->client;
    question.login = order->login;
    question.service = order->service.value_or("");

    log::open({}, "bulkhead", "");
    const auto folder =
        order->environment ? folder_of(directory, *order->environment) : Result<std::string>(directory);
    if (!folder)
        return complain(code_of(folder.error()), folder.error().context);
    const auto environment = load_environment(*folder, *folder == directory);
    if (!environment)
        return complain(EX_CONFIG, environment.error().context);
    const auto report = find_route(*environment, question);
    log::flush(true);
    if (!report)
        return complain(code_of(report.error()), report.error().context);
    fmt::print("{}", order->json ? route_json(*report) : route_text(*report));
    return report->problem.empty() ? 0 : EX_TEMPFAIL;
}

} // namespace bulkhead
