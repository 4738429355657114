<?php

declare(strict_types=1);

namespace App\Events;

use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\InteractsWithSockets;
use Illuminate\Broadcasting\PresenceChannel;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;
use Illuminate\Contracts\Broadcasting\ShouldBroadcastNow;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Notifications\Messages\BroadcastMessage;
use Illuminate\Notifications\Notification;

/** To all channels of the lists: news for everybody, a user's own, a room's. */
class Said implements ShouldBroadcastNow
{
    use InteractsWithSockets;

    /** @param list<string> $channels */
    public function __construct(private array $channels, public string $text)
    {
    }

    /** @return list<Channel> */
    public function broadcastOn(): array
    {
        return array_map(static fn (string $name): Channel => match (true) {
            str_starts_with($name, 'private-') => new PrivateChannel(substr($name, 8)),
            str_starts_with($name, 'presence-') => new PresenceChannel(substr($name, 9)),
            default => new Channel($name),
        }, $this->channels);
    }
}

/** Queued, and by a name of its own. */
class OrderPaid implements ShouldBroadcast
{
    public $afterCommit = true;

    public function __construct(public int $user, public string $title)
    {
    }

    public function broadcastOn(): PrivateChannel
    {
        return new PrivateChannel("App.User.$this->user");
    }

    public function broadcastAs(): string
    {
        return 'order.paid';
    }
}

/** A job that broadcasts as often as others do in days, and notes what memory its worker has by then. */
class AnnounceMany implements ShouldQueue
{
    public function handle(): void
    {
        for ($at = 0; $at < 100; $at++) {
            event(new Said(['news'], "announced $at"));
        }
        Memory::note();
    }
}

/** What the process has: PHP's bytes, and all that is resident, in KiB. */
class Memory
{
    public static function note(): void
    {
        gc_collect_cycles();
        preg_match('/^VmRSS:\s+(\d+) kB/m', (string) file_get_contents('/proc/self/status'), $resident);
        file_put_contents(storage_path('memory'), memory_get_usage() . " $resident[1]\n", FILE_APPEND);
    }
}

/** What Filament broadcasts when a user's bell has something new: no data, and a name of its own. */
class DatabaseNotificationsSent implements ShouldBroadcastNow
{
    public function __construct(private int $user)
    {
    }

    public function broadcastOn(): PrivateChannel
    {
        return new PrivateChannel("App.User.$this->user");
    }

    public function broadcastAs(): string
    {
        return 'database-notifications.sent';
    }
}

class Invoice extends Notification
{
    /** @return list<string> */
    public function via(): array
    {
        return ['broadcast'];
    }

    public function toBroadcast(): BroadcastMessage
    {
        return (new BroadcastMessage(['amount' => 42]))->onConnection('sync');
    }
}
