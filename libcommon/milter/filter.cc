#include "milter/filter.h"

#include "async/connect.h"
#include "base/text.h"
#include "config/values.h"
#include "log/log.h"
#include "os/files.h"

#include <fmt/format.h>

namespace bulkhead::milter
{

namespace
{

constexpr std::size_t max_edits = 10'000;
constexpr std::size_t max_edit_bytes = 256u << 20;
constexpr char separator = '\n'; // of exported fields: names have none

Reply rejected()
{
    return {550, "5.7.1", "Command rejected"};
}
Reply unavailable()
{
    return {451, "4.7.1", "Service unavailable - try again later"};
}

} // namespace

Filter::Filter(const Settings& settings, const Macros& macros) : settings_(&settings), macros_(&macros) {}

Filter::~Filter()
{
    if (!stream_ || !says_goodbye_ || state_ == State::broken)
        return;
    append_packet(stream_->output(), command::quit, {});
    stream_->send_what_fits();
}

void Filter::break_off()
{
    state_ = State::broken;
    stream_.reset();
}

Answer Filter::default_answer() const
{
    Answer answer;
    switch (settings_->default_action) {
    case Default::accept:
        break;
    case Default::tempfail:
        answer = {Answer::Kind::refuse, unavailable()};
        break;
    case Default::reject:
        answer = {Answer::Kind::refuse, Reply(550, "5.5.0", "Service unavailable")};
        break;
    case Default::quarantine:
        answer.kind = Answer::Kind::hold;
        break;
    case Default::shutdown:
        answer = {Answer::Kind::refuse, Reply(421, "4.7.0", "Server closing connection")};
        break;
    }
    return answer;
}

Answer Filter::failed(const Error& error)
{
    log::warn(error.context);
    break_off();
    sticky_ = default_answer();
    return sticky_;
}

Task<Result<UniqueFd>> Filter::dial()
{
    if (!settings_->path.empty())
        co_return connect_unix(settings_->path);
    Error last(Fault::not_found, "host or service not found");
    for (const SocketAddress& address : settings_->addresses) {
        auto fd = co_await connect_inet(address, std::nullopt, settings_->connect_timeout);
        if (fd)
            co_return fd;
        last = fd.error();
    }
    co_return last;
}

Task<Result<>> Filter::open()
{
    auto fd = co_await dial();
    if (!fd) {
        const std::string& context = fd.error().context;
        const auto colon = settings_->path.empty() ? std::string::npos : context.rfind(": ");
        co_return Error(Fault::broken,
                        fmt::format("connect to Milter service {}: {}", settings_->name,
                                    colon == std::string::npos ? context : context.substr(colon + 2)));
    }
    stream_ = std::make_unique<Stream>(std::move(*fd));
    stream_->set_timeout(settings_->command_timeout);
    co_return co_await negotiate();
}

Task<Result<>> Filter::negotiate()
{
    auto ours = offer_of(settings_->protocol);
    if (!ours)
        co_return ours.error();
    append_packet(stream_->output(), command::negotiate, encode(*ours));
    const auto answer = co_await read_packet(command_name(command::negotiate));
    if (!answer)
        co_return answer.error();
    if (answer->command != command::negotiate)
        co_return Error(Fault::malformed,
                        fmt::format("milter {}: unexpected reply in option negotiation", settings_->name));
    auto agreed = parse_agreement(answer->data, *ours);
    if (!agreed)
        co_return Error(Fault::malformed,
                        fmt::format("milter {}: {}", settings_->name, agreed.error().context));
    agreed_ = *std::move(agreed);
    co_return Result<>();
}

Task<Result<Filter::Packet>> Filter::read_packet(std::string_view what)
{
    const auto failure = [&](std::string_view part, const Error& error) {
        return Error(Fault::broken, fmt::format("milter {}: can't read {} reply packet {}: {}",
                                                settings_->name, what, part, error.context));
    };
    const auto head = co_await stream_->need(4);
    if (!head)
        co_return failure("header", head.error());
    std::size_t size = 0;
    for (const char c : stream_->buffered().substr(0, 4))
        size = size << 8 | static_cast<unsigned char>(c);
    if (size == 0 || size > max_packet)
        co_return Error(Fault::malformed,
                        fmt::format("milter {}: bad size {} of a {} reply", settings_->name, size, what));
    stream_->consume(4);
    const auto rest = co_await stream_->need(size);
    if (!rest)
        co_return failure("data", rest.error());
    Packet packet;
    packet.command = stream_->buffered().front();
    packet.data = stream_->buffered().substr(1, size - 1);
    stream_->consume(size);
    co_return packet;
}

void Filter::send_macros(char name, Stage stage, const MacroValue& value)
{
    const auto index = static_cast<std::size_t>(stage);
    std::vector<std::string> asked;
    if (agreed_.macros[index])
        for (const std::string_view word : split(*agreed_.macros[index], " \t,"))
            asked.emplace_back(word);
    const std::vector<std::string>& names = agreed_.macros[index] ? asked : macros_->names[index];
    std::string data(1, name);
    for (const std::string& macro : names) {
        const std::string_view bare = without_braces(macro);
        std::optional<std::string> found = value(bare);
        for (const auto& [default_name, text] : macros_->defaults)
            if (!found && default_name == bare)
                found = text;
        if (!found)
            continue;
        append_string(data, macro);
        append_string(data, *found);
    }
    if (data.size() > 1 && data.size() < max_packet)
        append_packet(stream_->output(), command::macros, data);
}

// A verdict, or nullopt for "wait for the next packet".
Result<std::optional<Answer>> Filter::judge(const Packet& packet, char name)
{
    const bool in_session = name == command::connect || name == command::helo;
    const auto refuse = [&](Reply reply) {
        Answer answer{Answer::Kind::refuse, std::move(reply)};
        if (in_session || answer.closes()) {
            state_ = State::refusing;
            sticky_ = answer;
        }
        return std::optional(std::move(answer));
    };
    switch (packet.command) {
    case 'p':
        return std::optional<Answer>();
    case 'c':
        return std::optional(Answer());
    case 's':
        skips_body_ = skips_body_ || name == command::body;
        return std::optional(Answer());
    case 'a':
        if (in_session)
            state_ = State::accepting;
        else if (message_ == Message::open)
            message_ = Message::accepted;
        return std::optional(Answer());
    case 'r':
        return refuse(rejected());
    case 't':
        return refuse(unavailable());
    case 'd':
        if (in_session || name == command::unknown)
            return std::optional(Answer());
        return std::optional(Answer{Answer::Kind::discard, {}});
    case '4':
        return refuse(Reply(421, "4.7.0", "Server closing connection"));
    case 'y': {
        auto reply = parse_reply_code(packet.data);
        if (!reply)
            return Error{Fault::malformed,
                         fmt::format("milter {}: {}", settings_->name, reply.error().context)};
        return refuse(*std::move(reply));
    }
    default:
        return Error{Fault::malformed,
                     fmt::format("milter {}: unreasonable reply to {}", settings_->name, command_name(name))};
    }
}

Task<Answer> Filter::event(char name, std::string data, std::uint32_t not_wanted, std::uint32_t silent,
                           Seconds time)
{
    if (has(not_wanted))
        co_return Answer();
    append_packet(stream_->output(), name, data);
    if (has(silent))
        co_return Answer();
    for (;;) {
        stream_->set_timeout(time);
        const auto packet = co_await read_packet(command_name(name));
        if (!packet)
            co_return failed(packet.error());
        auto answer = judge(*packet, name);
        if (!answer)
            co_return failed(answer.error());
        if (*answer)
            co_return **std::move(answer);
    }
}

Task<Answer> Filter::event_with_macros(char name, std::string data, Stage stage, const MacroValue& value,
                                       std::uint32_t not_wanted, std::uint32_t silent, Seconds time)
{
    if (!is_active())
        co_return sticky_;
    if (has(not_wanted))
        co_return Answer();
    send_macros(name, stage, value);
    co_return co_await event(name, std::move(data), not_wanted, silent, time);
}

Task<Answer> Filter::connect(const Client& client, const MacroValue& value)
{
    const auto opened = co_await open();
    if (!opened)
        co_return failed(opened.error());
    state_ = State::ready;
    std::string data;
    append_string(data, client.name);
    if (client.address.empty()) {
        data += 'U';
    } else {
        data += client.v6 ? '6' : '4';
        data += static_cast<char>(client.port >> 8 & 0xff);
        data += static_cast<char>(client.port & 0xff);
        append_string(data, (client.v6 ? "IPv6:" : "") + client.address);
    }
    co_return co_await event_with_macros(command::connect, std::move(data), Stage::connect, value,
                                         option::no_connect, option::silent_connect,
                                         settings_->command_timeout);
}

Task<Answer> Filter::helo(std::string name, const MacroValue& value)
{
    std::string data;
    append_string(data, name);
    co_return co_await event_with_macros(command::helo, std::move(data), Stage::helo, value, option::no_helo,
                                         option::silent_helo, settings_->command_timeout);
}

static std::string joined(const std::vector<std::string>& arguments)
{
    std::string data;
    for (const std::string& argument : arguments)
        append_string(data, argument);
    return data;
}

Task<Answer> Filter::mail(std::vector<std::string> arguments, const MacroValue& value)
{
    if (state_ == State::ready)
        message_ = Message::open;
    skips_body_ = false;
    co_return co_await event_with_macros(command::mail, joined(arguments), Stage::mail, value,
                                         option::no_mail, option::silent_mail, settings_->command_timeout);
}

Task<Answer> Filter::rcpt(std::vector<std::string> arguments, const MacroValue& value)
{
    co_return co_await event_with_macros(command::rcpt, joined(arguments), Stage::rcpt, value,
                                         option::no_rcpt, option::silent_rcpt, settings_->command_timeout);
}

Task<Answer> Filter::data(const MacroValue& value)
{
    // Older filters do not know the command.
    const std::uint32_t not_wanted = agreed_.offer.version < 4 ? 0 : option::no_data;
    if (agreed_.offer.version < 4)
        co_return is_active() ? Answer() : sticky_;
    std::string no_data;
    co_return co_await event_with_macros(command::data, std::move(no_data), Stage::data, value, not_wanted,
                                         option::silent_data, settings_->command_timeout);
}

Task<Answer> Filter::unknown(std::string line, const MacroValue& value)
{
    if (agreed_.offer.version < 3)
        co_return is_active() ? Answer() : sticky_;
    std::string data;
    append_string(data, line);
    co_return co_await event_with_macros(command::unknown, std::move(data), Stage::unknown, value,
                                         option::no_unknown, option::silent_unknown,
                                         settings_->command_timeout);
}

bool Filter::wants_headers() const
{
    return is_active() && !has(option::no_headers);
}

bool Filter::wants_body() const
{
    return is_active() && !has(option::no_body) && !skips_body_;
}

Task<Answer> Filter::header(std::string name, std::string value_text, const MacroValue&)
{
    if (!is_active())
        co_return sticky_;
    if (!has(option::leading_space) && value_text.starts_with(' '))
        value_text.erase(0, 1);
    std::string data;
    append_string(data, name);
    append_string(data, value_text);
    if (data.size() >= max_packet)
        co_return Answer();
    co_return co_await event(command::header, std::move(data), option::no_headers, option::silent_headers,
                             settings_->content_timeout);
}

Task<Answer> Filter::end_of_headers(const MacroValue& value)
{
    std::string no_data;
    co_return co_await event_with_macros(command::end_of_headers, std::move(no_data), Stage::end_of_headers,
                                         value, option::no_end_of_headers, option::silent_end_of_headers,
                                         settings_->content_timeout);
}

Task<Answer> Filter::body(std::string_view chunk)
{
    if (!is_active())
        co_return sticky_;
    Answer answer = co_await event(command::body, std::string(chunk), option::no_body, option::silent_body,
                                   settings_->content_timeout);
    if (stream_ && stream_->unsent() > 0) {
        const auto sent = co_await stream_->flush();
        if (!sent)
            co_return failed(Error(Fault::broken, fmt::format("milter {}: can't send message body: {}",
                                                              settings_->name, sent.error().context)));
    }
    co_return answer;
}

Task<Answer> Filter::end_of_message(const MacroValue& value, std::vector<Edit>& edits)
{
    if (!is_active())
        co_return sticky_;
    send_macros(command::end_of_message, Stage::end_of_message, value);
    append_packet(stream_->output(), command::end_of_message, {});
    std::size_t bytes = 0;
    for (;;) {
        stream_->set_timeout(settings_->content_timeout);
        auto packet = co_await read_packet(command_name(command::end_of_message));
        if (!packet)
            co_return failed(packet.error());
        auto edit = parse_edit(packet->command, packet->data, agreed_.offer.actions);
        if (!edit)
            co_return failed(
                Error(Fault::malformed, fmt::format("milter {}: {}", settings_->name, edit.error().context)));
        if (*edit) {
            bytes += packet->data.size();
            edits.push_back(**std::move(edit));
            if (edits.size() > max_edits || bytes > max_edit_bytes)
                co_return failed(
                    Error(Fault::limit, fmt::format("milter {}: too many changes", settings_->name)));
            continue;
        }
        auto answer = judge(*packet, command::end_of_message);
        if (!answer)
            co_return failed(answer.error());
        if (!*answer)
            continue;
        message_ = Message::none;
        co_return **std::move(answer);
    }
}

void Filter::end_message()
{
    if (state_ == State::ready && message_ != Message::none && stream_)
        append_packet(stream_->output(), command::abort, {});
    message_ = Message::none;
    skips_body_ = false;
}

// name, version, actions, options, time limit, default action, lists of the two stages
// that are left.
std::string Filter::exported() const
{
    const auto list = [&](Stage stage) {
        const auto& asked = agreed_.macros[static_cast<std::size_t>(stage)];
        return asked ? "=" + printable(*asked) : std::string();
    };
    return fmt::format("{1}{0}{2}{0}{3}{0}{4}{0}{5}{0}{6}{0}{7}{0}{8}", separator, settings_->name,
                       agreed_.offer.version, agreed_.offer.actions, agreed_.offer.options,
                       settings_->content_timeout.count(), default_name(settings_->default_action),
                       list(Stage::end_of_headers), list(Stage::end_of_message));
}

Result<std::unique_ptr<Filter>> Filter::imported(std::string_view state, UniqueFd fd, const Macros& macros,
                                                 std::vector<std::unique_ptr<Settings>>& storage)
{
    std::vector<std::string_view> fields;
    for (std::size_t begin = 0; begin <= state.size();) {
        const std::size_t end = std::min(state.find(separator, begin), state.size());
        fields.push_back(state.substr(begin, end - begin));
        begin = end + 1;
    }
    if (fields.size() != 8)
        return Error{Fault::malformed, "bad state of a milter"};
    std::array<std::uint64_t, 4> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const auto number = parse_unsigned(fields[i + 1]);
        if (!number || *number > 0xffff'ffff)
            return Error{Fault::malformed, "bad number in the state of a milter"};
        numbers[i] = *number;
    }
    auto settings = std::make_unique<Settings>();
    settings->name = fields[0];
    settings->content_timeout = Seconds(std::max<std::uint64_t>(numbers[3], 1));
    TRY(settings->default_action, parse_default(fields[5]));
    storage.push_back(std::move(settings));
    auto filter = std::make_unique<Filter>(*storage.back(), macros);
    filter->agreed_.offer = {static_cast<std::uint32_t>(numbers[0]), static_cast<std::uint32_t>(numbers[1]),
                             static_cast<std::uint32_t>(numbers[2])};
    const std::pair<Stage, std::string_view> lists[] = {{Stage::end_of_headers, fields[6]},
                                                        {Stage::end_of_message, fields[7]}};
    for (const auto& [stage, list] : lists)
        if (list.starts_with('='))
            filter->agreed_.macros[static_cast<std::size_t>(stage)] = std::string(list.substr(1));
    filter->stream_ = std::make_unique<Stream>(std::move(fd));
    filter->state_ = State::ready;
    filter->message_ = Message::open;
    filter->says_goodbye_ = false;
    return filter;
}

} // namespace bulkhead::milter
