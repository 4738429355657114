<?php

declare(strict_types=1);

namespace Sse;

use Sse\Doctor\Finding;
use Sse\Doctor\HubCheck;
use Sse\Doctor\SiteCheck;

/**
 * Finds out why nothing arrives: asks the hub and the settings, and opens a stream of the site as a browser would, by its
 * public URL. What the command `sse doctor` runs; for an administrator's page as well, which nobody else may see:
 *
 * ```php
 * foreach (Doctor::examine('https://www.example.org/stream.php') as $finding) {
 *     printf("<li>%s: %s %s</li>\n", $finding->level, htmlspecialchars($finding->message), htmlspecialchars($finding->cure));
 * }
 * ```
 */
final class Doctor
{
    /**
     * All that can be found out: {@see hub()}, and with an address {@see site()}.
     *
     * @param array<string, string> $headers
     *
     * @return list<Finding>
     */
    public static function examine(
        ?string $url = null,
        array $headers = [],
        ?string $topic = null,
        bool $publishes = true,
        float $patience = 5.0,
        int $hold = 0,
        bool $trustsAll = false,
    ): array {
        $findings = self::hub();
        if ($url === null) {
            return $findings;
        }
        $ofSite = self::site($url, $headers, $topic, $publishes, $patience, $hold, $trustsAll);
        if (in_array('no-hub', array_column($findings, 'id'), true)) {
            // The stream may have started it.
            $findings = self::hub();
        }

        return [...$findings, ...$ofSite];
    }

    /**
     * Looks at this process's settings and its hub. It starts none.
     *
     * @return list<Finding>
     */
    public static function hub(): array
    {
        return (new HubCheck())->findings();
    }

    /**
     * Opens a stream of the site and publishes to it: three small events of the type `sse-doctor`, which no `onmessage` gets, and
     * where these do not arrive, larger ones. It takes some seconds at most, more where nothing arrives.
     *
     * @param string                $url       The address of a stream, as a browser has it.
     * @param array<string, string> $headers   Headers of the request: a session's cookie, where the stream needs one.
     * @param string|null           $topic     The topic that ought to arrive there. Null: one that the stream watches.
     * @param bool                  $publishes Whether to publish.
     * @param float                 $patience  Seconds to wait for the headers, and for each event.
     * @param int                   $hold      Seconds for which the stream is kept open then, to see whether something cuts it.
     * @param bool                  $trustsAll Whether any certificate will do: of a test machine.
     *
     * @return list<Finding>
     */
    public static function site(
        string $url,
        array $headers = [],
        ?string $topic = null,
        bool $publishes = true,
        float $patience = 5.0,
        int $hold = 0,
        bool $trustsAll = false,
    ): array {
        return (new SiteCheck($url, $headers, $topic, $publishes, $patience, $hold, $trustsAll))->findings();
    }
}
