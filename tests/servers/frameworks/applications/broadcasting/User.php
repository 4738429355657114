<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Database\Eloquent\BroadcastsEvents;
use Illuminate\Foundation\Auth\User as Authenticatable;
use Illuminate\Notifications\Notifiable;

class User extends Authenticatable
{
    use BroadcastsEvents;
    use Notifiable;

    public $timestamps = false;

    /** @return list<PrivateChannel> */
    public function broadcastOn(string $event): array
    {
        return $event === 'updated' ? [new PrivateChannel("App.User.$this->id")] : [];
    }

    public function receivesBroadcastNotificationsOn(): string
    {
        return "App.User.$this->id";
    }
}
