#include "smtp/command.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace bulkhead
{

namespace
{

constexpr std::size_t echo_limit = 100; // bytes of a refused parameter shown to the client
constexpr std::size_t helo_limit = 512; // bytes kept of a HELO argument
constexpr std::size_t auth_limit = 500; // RFC 4954, 5
constexpr std::string_view blanks = " \t";

std::unexpected<Reply> syntax(std::string text)
{
    return std::unexpected(Reply(501, "5.5.4", std::move(text)));
}

std::unexpected<Reply> unsupported(std::string_view parameter)
{
    return std::unexpected(
        Reply(555, "5.5.4", "Unsupported option: " + printable(parameter.substr(0, echo_limit))));
}

struct Parameter {
    std::string_view whole;
    std::string_view name;
    std::string_view value;
    bool has_value = false;

    bool is(std::string_view keyword) const { return equals_ignoring_case(name, keyword); }
};

// The esmtp-params of a command; each name may come once.
Answer<std::vector<Parameter>> split_parameters(std::string_view text, std::size_t limit)
{
    std::vector<Parameter> parameters;
    for (const std::string_view word : split(text, blanks)) {
        if (parameters.size() >= limit)
            return syntax("Error: too many parameters");
        const auto equal = std::min(word.find('='), word.size());
        Parameter parameter{word, word.substr(0, equal), {}, equal < word.size()};
        if (parameter.has_value)
            parameter.value = word.substr(equal + 1);
        if (std::ranges::any_of(parameters, [&](const Parameter& seen) { return seen.is(parameter.name); }))
            return syntax("Error: duplicate parameter: " + printable(word.substr(0, echo_limit)));
        parameters.push_back(parameter);
    }
    return parameters;
}

// What follows "FROM:" or "TO:"; nullopt if that is not how the arguments start.
std::optional<std::string_view> after_keyword(std::string_view arguments, std::string_view keyword,
                                              bool strict)
{
    if (!starts_with_ignoring_case(arguments, keyword))
        return std::nullopt;
    arguments.remove_prefix(keyword.size());
    while (!strict && !arguments.empty() && is_blank(arguments.front()))
        arguments.remove_prefix(1);
    if (!arguments.starts_with(':'))
        return std::nullopt;
    return arguments.substr(1);
}

// One parameter of MAIL; the reply if it is refused.
std::optional<Reply> apply(const Parameter& parameter, const CommandOptions& options, MailCommand& command)
{
    const auto refuse = [](auto unexpected) { return std::optional<Reply>(std::move(unexpected.error())); };
    if (options.size && parameter.is("SIZE")) {
        command.size = parse_unsigned(parameter.value);
        if (!command.size)
            return refuse(syntax("Bad message size syntax"));
    } else if (options.eightbit && parameter.is("BODY")) {
        if (equals_ignoring_case(parameter.value, "8BITMIME"))
            command.body = BodyType::eight_bit_mime;
        else if (equals_ignoring_case(parameter.value, "7BIT"))
            command.body = BodyType::seven_bit;
        else
            return refuse(unsupported(parameter.whole));
    } else if (options.smtputf8 && parameter.is("SMTPUTF8")) {
        if (parameter.has_value)
            return refuse(syntax("Error: SMTPUTF8 takes no value"));
        command.smtputf8 = true;
    } else if (options.dsn && parameter.is("RET")) {
        const auto ret = parse_ret(parameter.value);
        if (!ret)
            return refuse(syntax("Bad RET parameter syntax"));
        command.ret = *ret;
    } else if (options.dsn && parameter.is("ENVID")) {
        auto envid = parse_envid(parameter.value);
        if (!envid)
            return refuse(syntax("Bad ENVID parameter syntax"));
        command.envid = *std::move(envid);
    } else if (options.auth && parameter.is("AUTH")) {
        auto auth = decode_xtext(parameter.value);
        if (parameter.value.empty() || parameter.value.size() > auth_limit || !auth)
            return refuse(syntax("Error: bad AUTH parameter syntax"));
        command.auth = *std::move(auth);
    } else if (!options.verp_delimiters.empty() && parameter.is("XVERP")) {
        if (parameter.has_value &&
            (parameter.value.size() != 2 ||
             parameter.value.find_first_not_of(options.verp_delimiters) != std::string_view::npos))
            return refuse(syntax("Error: bad XVERP parameter syntax"));
        command.verp = parameter.value;
    } else {
        return refuse(unsupported(parameter.whole));
    }
    return std::nullopt;
}

std::optional<Reply> apply(const Parameter& parameter, const CommandOptions& options, RcptCommand& command)
{
    if (options.dsn && parameter.is("NOTIFY")) {
        const auto mask = parse_notify(parameter.value);
        if (!mask)
            return syntax("Error: Bad NOTIFY parameter syntax").error();
        command.notify = *mask;
    } else if (options.dsn && parameter.is("ORCPT")) {
        auto orcpt = parse_orcpt(parameter.value, options.smtputf8);
        if (!orcpt)
            return syntax("Error: Bad ORCPT parameter syntax").error();
        command.orcpt = *std::move(orcpt);
    } else {
        return unsupported(parameter.whole).error();
    }
    return std::nullopt;
}

// Reads all parameters into the command; the first bad one decides.
template <typename Command>
std::optional<Reply> apply_all(std::string_view text, const CommandOptions& options, Command& command)
{
    const auto parameters = split_parameters(text, options.parameters);
    if (!parameters)
        return parameters.error();
    for (const Parameter& parameter : *parameters)
        if (auto refusal = apply(parameter, options, command))
            return refusal;
    return std::nullopt;
}

} // namespace

bool CommandLine::is(std::string_view name) const
{
    return equals_ignoring_case(verb, name);
}

CommandLine split_command(std::string_view line)
{
    line = trim(line);
    const auto end = std::min(line.find_first_of(blanks), line.size());
    return {line.substr(0, end), trim(line.substr(end))};
}

Answer<MailCommand> parse_mail(std::string_view arguments, const CommandOptions& options)
{
    const auto text = after_keyword(arguments, "FROM", options.strict);
    if (!text || trim(*text).empty())
        return syntax("Syntax: MAIL FROM:<address>");
    const PathOptions path_options{options.strict, options.smtputf8 || options.utf8_undeclared};
    auto leading = parse_leading_path(*text, path_options);
    if (!leading)
        return std::unexpected(Reply(501, "5.1.7", "Bad sender address syntax"));

    MailCommand command;
    command.sender = std::move(leading->path);
    if (auto refusal = apply_all(leading->rest, options, command))
        return std::unexpected(*std::move(refusal));
    if (!command.smtputf8 && !options.utf8_undeclared && has_8bit(command.sender.address))
        return std::unexpected(Reply(553, "5.6.7", "Must declare SMTPUTF8 to send a non-ASCII address"));
    return command;
}

Answer<RcptCommand> parse_rcpt(std::string_view arguments, const CommandOptions& options)
{
    const auto text = after_keyword(arguments, "TO", options.strict);
    if (!text || trim(*text).empty())
        return syntax("Syntax: RCPT TO:<address>");
    const PathOptions path_options{options.strict, options.smtputf8 || options.utf8_undeclared};
    auto leading = parse_leading_path(*text, path_options);
    if (!leading || leading->path.is_null())
        return std::unexpected(Reply(501, "5.1.3", "Bad recipient address syntax"));

    RcptCommand command;
    command.recipient = std::move(leading->path);
    if (auto refusal = apply_all(leading->rest, options, command))
        return std::unexpected(*std::move(refusal));
    return command;
}

Answer<std::string> parse_helo(std::string_view verb, std::string_view arguments)
{
    arguments = trim(arguments);
    if (arguments.empty())
        return std::unexpected(Reply(501, "Syntax: " + printable(verb.substr(0, echo_limit)) + " hostname"));
    return printable(arguments.substr(0, helo_limit));
}

} // namespace bulkhead
