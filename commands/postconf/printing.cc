#include "printing.h"

#include "base/text.h"

#include <fmt/format.h>

namespace bulkhead::postconf
{

std::string joined_words(std::string_view text, bool fold)
{
    std::string out;
    std::size_t column = 0;
    for (const std::string_view word : split(text, " \t\r\n")) {
        if (column > 0 && fold && column + 1 + word.size() > line_limit) {
            out.append("\n").append(indent);
            column = indent.size();
        } else if (column > 0) {
            out.push_back(' ');
            ++column;
        }
        out.append(word);
        column += word.size();
    }
    return out;
}

std::string pair_line(const Options& options, std::string_view name, std::string_view value)
{
    if (options.hide_value)
        return std::string(name);
    if (options.hide_name)
        return joined_words(value, options.fold);
    return joined_words(fmt::format("{} = {}", name, value), options.fold);
}

// A JSON string; bytes that are no UTF-8 become the replacement character, for JSON has no other way.
static std::string json_string(std::string_view text)
{
    std::string out = "\"";
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\u{:04x}", byte);
        } else if (byte < 0x80) {
            out.push_back(c);
        } else {
            std::size_t size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
            if (!is_valid_utf8(text.substr(i, size))) {
                out += "\\ufffd";
                continue;
            }
            out.append(text.substr(i, size));
            i += size - 1;
        }
    }
    out.push_back('"');
    return out;
}

void Printer::pair(std::string_view service, std::string_view name, std::string_view value)
{
    if (!options_.json) {
        lines_.push_back(pair_line(
            options_, service.empty() ? std::string(name) : fmt::format("{}/{}", service, name), value));
        return;
    }
    Fields fields;
    if (!service.empty())
        fields.emplace_back("service", service);
    if (!options_.hide_name)
        fields.emplace_back("name", name);
    if (!options_.hide_value)
        fields.emplace_back("value", joined_words(value, false));
    item({}, fields);
}

void Printer::item(std::string_view line, const Fields& fields)
{
    if (!options_.json) {
        lines_.emplace_back(line);
        return;
    }
    std::string object;
    for (const auto& [name, value] : fields)
        object += fmt::format("{}{}: {}", object.empty() ? "" : ", ", json_string(name), json_string(value));
    lines_.push_back("{" + object + "}");
}

std::string Printer::text() const
{
    std::string out;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
        if (options_.json)
            out += i == 0 ? "[\n  " : ",\n  ";
        out += lines_[i];
        if (!options_.json)
            out.push_back('\n');
    }
    if (options_.json)
        out += lines_.empty() ? "[]\n" : "\n]\n";
    return out;
}

} // namespace bulkhead::postconf
