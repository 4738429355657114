<?php

/** The part of CakePHP that php/src/Controller uses, for the analyser: Debian has no package of it. */

namespace Cake\Controller {

    use Psr\Http\Message\ResponseInterface;

    class Controller
    {
        public function getResponse(): ResponseInterface {}
    }

    class Component
    {
        public function getController(): Controller {}
    }
}
