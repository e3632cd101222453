// Runs tests/dialogues/*.dlg.  A line of such a file is
//   P: name = value   a setting, before the first other line
//   F: status reason  what cleanup answers (a number of ipc::cleanup_status, a text)
//   S: text           a line that the server must send; * at the end: anything may follow
//   C: text           a line that the client sends; lines in a row go out in one piece
//   C> text           the same with \r, \n, \0, \xHH and \\ as written, and no line end added
//   E:                the server closes the connection
//   R: text           the same of the last line of a reply; its other lines may be any
//   N: yes            the client comes over the network, from 127.0.0.1, not over a socket pair
//   T:               the client begins a TLS handshake; T: refused is one that fails
//   A: MECH user pw  the client logs in; the last reply is for the next line
//   {b64:text}       in S: and C: lines: the text (with escapes) in base64; {fill:N}: N letters
//   === name          a case of its own begins: what is said before the first is said for all of them
// Empty lines and lines that begin with # are comments.
#include "harness.h"

#include "base/text.h"
#include "sasl/base64.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

namespace bulkhead::smtpd_test
{

namespace
{

std::string unescape(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        if (c == 'x' && i + 2 < text.size()) {
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
            continue;
        }
        out += c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
    }
    return out;
}

// {b64:...} and {fill:...}
std::string expand(std::string_view text)
{
    std::string out;
    while (!text.empty()) {
        const bool base64 = text.starts_with("{b64:");
        const auto end = text.find('}');
        if ((!base64 && !text.starts_with("{fill:")) || end == text.npos) {
            out += text.front();
            text.remove_prefix(1);
            continue;
        }
        const auto colon = text.find(':');
        const std::string_view argument = text.substr(colon + 1, end - colon - 1);
        out += base64 ? sasl::encode_base64(unescape(argument)) : std::string(*parse_unsigned(argument), 'a');
        text.remove_prefix(end + 1);
    }
    return out;
}

bool matches(std::string_view pattern, std::string_view line)
{
    if (pattern.ends_with('*'))
        return line.starts_with(pattern.substr(0, pattern.size() - 1));
    return pattern == line;
}

struct Script {
    std::string name;
    bool network = false;
    std::string settings;
    ipc::CleanupResult result;
    std::vector<std::string> lines;
};

// The cases of a file.
std::vector<Script> read_scripts(const std::string& path)
{
    std::vector<Script> scripts(1);
    const auto text = read_file(path);
    for (const std::string_view line : split(text ? *text : std::string(), "\n")) {
        if (line.starts_with('#'))
            continue;
        if (line.starts_with("=== ")) {
            scripts.push_back(scripts.front());
            scripts.back().name = line.substr(4);
            continue;
        }
        Script& script = scripts.back();
        if (line.starts_with("P: ")) {
            script.settings += std::string(line.substr(3)) + "\n";
        } else if (line.starts_with("N: ")) {
            script.network = true;
        } else if (line.starts_with("F: ")) {
            const auto rest = line.substr(3);
            const auto blank = std::min(rest.find(' '), rest.size());
            script.result.status = static_cast<unsigned>(*parse_unsigned(rest.substr(0, blank)));
            script.result.reason = trim(rest.substr(blank));
        } else {
            script.lines.emplace_back(line);
        }
    }
    if (scripts.size() > 1 && scripts.front().lines.empty())
        scripts.erase(scripts.begin());
    return scripts;
}

// What the client does; adds to problem what was otherwise than written.
void follow(const Script& script, BlockingClient& side, std::string& problem)
{
    std::string unsent;
    int number = 0; // of lines that are no comments
    for (const std::string& line : script.lines) {
        ++number;
        const std::string text = line.size() > 3 ? expand(line.substr(3)) : std::string();
        if (line.starts_with("C>")) {
            unsent += unescape(text);
            continue;
        }
        if (line.starts_with("C:")) {
            unsent += text + "\r\n";
            continue;
        }
        side.send(unsent);
        unsent.clear();
        if (line.starts_with("A:")) {
            const auto words = split(text, " ");
            side.unread(side.log_in(std::string(words[0]), std::string(words[1]), std::string(words[2])));
            continue;
        }
        if (line.starts_with("T:")) {
            if (side.start_tls() != (text == "refused"))
                continue;
            problem = "line " + std::to_string(number) + ": the TLS handshake";
            return;
        }
        auto answer = side.read_line();
        while (line.starts_with("R:") && answer && answer->size() > 3 && (*answer)[3] == '-')
            answer = side.read_line();
        const bool good = line.starts_with("E:") ? !answer : answer && matches(text, *answer);
        if (good)
            continue;
        problem =
            "line " + std::to_string(number) + "\nwant: " + line + "\ngot:  " + answer.value_or("(closed)");
        return;
    }
}

class Dialogue : public testing::TestWithParam<std::string>
{
};

TEST_P(Dialogue, GoesAsWritten)
{
    const auto scripts = read_scripts(TEST_DATA "/../dialogues/" + GetParam() + ".dlg");
    for (const Script& script : scripts) {
        ASSERT_FALSE(script.lines.empty());
        Harness harness(script.settings);
        harness.network = script.network;
        harness.services.result = script.result;
        std::string problem;
        harness.talk([&](BlockingClient& side) { follow(script, side, problem); });
        EXPECT_EQ(problem, "") << script.name;
    }
}

std::vector<std::string> dialogues()
{
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(TEST_DATA "/../dialogues"))
        if (entry.path().extension() == ".dlg")
            names.push_back(entry.path().stem());
    std::ranges::sort(names);
    return names;
}

INSTANTIATE_TEST_SUITE_P(Files, Dialogue, testing::ValuesIn(dialogues()),
                         [](const auto& row) { return row.param; });

} // namespace

} // namespace bulkhead::smtpd_test
