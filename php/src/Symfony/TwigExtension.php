<?php

declare(strict_types=1);

namespace Sse\Symfony;

use SseException;
use Twig\Extension\AbstractExtension;
use Twig\TwigFunction;

/**
 * `sse_stream_source()` in templates: the address of a stream of these topics, which begins where the template calls it.
 *
 * ```twig
 * <script>
 *     new EventSource({{ sse_stream_source('news', 'orders.*')|json_encode|raw }});
 * </script>
 * ```
 */
final class TwigExtension extends AbstractExtension
{
    public function __construct(private readonly string $url)
    {
    }

    /** @return list<TwigFunction> */
    public function getFunctions(): array
    {
        return [new TwigFunction('sse_stream_source', $this->source(...))];
    }

    /** The address, with the topics and the id of the newest event, so that nothing is lost from here to the stream. */
    public function source(string ...$topics): string
    {
        $query = $topics === [] ? [] : ['topics' => implode(',', $topics)];
        try {
            $query['lastEventId'] = \sse_cursor();
        } catch (SseException) {
            // The page is shown all the same, and its stream says what is wrong.
        }
        $query = http_build_query($query, '', '&', PHP_QUERY_RFC3986);

        return $query === '' ? $this->url : $this->url . (str_contains($this->url, '?') ? '&' : '?') . $query;
    }
}
