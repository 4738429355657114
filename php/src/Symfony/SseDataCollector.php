<?php

declare(strict_types=1);

namespace Sse\Symfony;

use Sse\Publisher\Publication;
use Sse\Publisher\TraceablePublisher;
use Symfony\Bundle\FrameworkBundle\DataCollector\AbstractDataCollector;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpKernel\DataCollector\LateDataCollectorInterface;
use Throwable;

/** What a request has published, for the profiler and its toolbar. */
final class SseDataCollector extends AbstractDataCollector implements LateDataCollectorInterface
{
    /** Bytes of an event's data that are shown. */
    private const SHOWN = 2000;

    public function __construct(private readonly TraceablePublisher $publisher)
    {
    }

    public function collect(Request $request, Response $response, ?Throwable $exception = null): void
    {
        // Later: what is published after the response counts, too.
    }

    public function lateCollect(): void
    {
        $this->data = [
            'count' => $this->publisher->count(),
            'publications' => array_map(self::shown(...), $this->publisher->publications()),
        ];
    }

    public function getCount(): int
    {
        return (int) ($this->data['count'] ?? 0);
    }

    /** @return list<array<string, mixed>> */
    public function getPublications(): array
    {
        /** @var list<array<string, mixed>> */
        return $this->data['publications'] ?? [];
    }

    /** Milliseconds of all that are shown. */
    public function getTime(): float
    {
        return array_sum(array_map(
            static fn (array $one): float => is_float($one['milliseconds']) ? $one['milliseconds'] : 0.0,
            $this->getPublications(),
        ));
    }

    public function getProblems(): int
    {
        return count(array_filter($this->getPublications(), static fn (array $one): bool => $one['problem'] !== null));
    }

    public static function getTemplate(): string
    {
        return '@Sse/profiler.html.twig';
    }

    /** @return array<string, mixed> what can be stored */
    private static function shown(Publication $one): array
    {
        $data = $one->event?->data;
        if ($data !== null && !is_string($data)) {
            $data = (string) json_encode($data, JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_UNESCAPED_SLASHES);
        }

        return [
            'kind' => $one->kind,
            'topics' => $one->topics,
            'type' => $one->event?->type,
            'data' => $data === null ? null : substr($data, 0, self::SHOWN),
            'id' => $one->id,
            'taken' => $one->taken,
            'problem' => $one->problem,
            'milliseconds' => $one->seconds * 1000,
        ];
    }
}
