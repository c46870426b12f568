export { type KernelImages, openKernelImages } from './kernel-images.js';
