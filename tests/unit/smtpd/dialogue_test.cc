// Runs tests/dialogues/*.dlg.  A line of such a file is
//   P: name = value   a setting, before the first other line
//   F: status reason  what cleanup answers (a number of ipc::cleanup_status, a text)
//   S: text           a line that the server must send; * at the end: anything may follow
//   C: text           a line that the client sends; lines in a row go out in one piece
//   C> text           the same with \r, \n, \0 and \\ as written, and no line end added
//   E:                the server closes the connection
// Empty lines and lines that begin with # are comments.
#include "harness.h"

#include "base/text.h"

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
        out += c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
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
    std::string settings;
    ipc::CleanupResult result;
    std::vector<std::string> lines;
};

Script read_script(const std::string& path)
{
    Script script;
    const auto text = read_file(path);
    for (const std::string_view line : split(text ? *text : std::string(), "\n")) {
        if (line.starts_with('#'))
            continue;
        if (line.starts_with("P: ")) {
            script.settings += std::string(line.substr(3)) + "\n";
        } else if (line.starts_with("F: ")) {
            const auto rest = line.substr(3);
            const auto blank = std::min(rest.find(' '), rest.size());
            script.result.status = static_cast<unsigned>(*parse_unsigned(rest.substr(0, blank)));
            script.result.reason = trim(rest.substr(blank));
        } else {
            script.lines.emplace_back(line);
        }
    }
    return script;
}

class Dialogue : public testing::TestWithParam<std::string>
{
};

TEST_P(Dialogue, GoesAsWritten)
{
    const Script script = read_script(TEST_DATA "/../dialogues/" + GetParam() + ".dlg");
    ASSERT_FALSE(script.lines.empty());
    Harness harness(script.settings);
    harness.services.result = script.result;
    const auto client = [&](BlockingClient& side) {
        std::string unsent;
        for (const std::string& line : script.lines) {
            const std::string text = line.size() > 3 ? line.substr(3) : std::string();
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
            const auto answer = side.read_line();
            if (line.starts_with("E:")) {
                EXPECT_FALSE(answer) << *answer;
                return;
            }
            ASSERT_TRUE(answer) << "closed instead of " << text;
            ASSERT_TRUE(matches(text, *answer)) << "want: " << text << "\ngot:  " << *answer;
        }
    };
    harness.talk(client);
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
